"""`mplus chat`: the conversation itself, lines from a pipe, and a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pexpect
import pytest
from hypothesis import strategies as st

from models.fast_decode import FastDecoder
from models.projections import Packed8
from mplus_cli import settings
from mplus_cli.asking import answering
from mplus_cli.asking.conversation import Conversation
from mplus_cli.asking.events import Answer, Event, TextDelta
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question
from mplus_cli.asking.slash_commands import COMMANDS, Reply, completions, is_command
from mplus_cli.asking.slash_commands import run as run_command
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.runtime.interrupts import Interrupts
from mplus_cli.runtime.session import open_session
from mplus_cli.terminal import chat_view
from mplus_cli.wording import WHAT_TO_ASK


@pytest.fixture
def conversation(book: str) -> Conversation:
    """A conversation with the short text."""
    return begun(book)


def begun(book: str) -> Conversation:
    """A conversation with the model in use."""
    given = settings.resolve(settings.Flags())
    opened = open_session(given, note=lambda _: None, progress=lambda *_: None)
    memory = load_memory(opened, opened.library.open(book))
    return Conversation(opened, memory)


def ask(conversation: Conversation, question: str) -> Answer:
    events = list(conversation.ask(question))
    assert isinstance(events[-1], Answer)
    return events[-1]


def test_turns_are_in_the_prompt(conversation: Conversation) -> None:
    alone = ask(conversation, "And why?").usage.prompt_tokens
    ((question, answer),) = conversation.turns
    assert (question, answer) == ("And why?", conversation.last.answer)  # type: ignore[union-attr]
    conversation.turns = [(question, answer[:20])]
    assert ask(conversation, "And why?").usage.prompt_tokens > alone
    run_command(conversation, "/clear")
    assert conversation.turns == []
    assert ask(conversation, "And why?").usage.prompt_tokens == alone


def test_turns_that_do_not_fit_go_oldest_first(conversation: Conversation) -> None:
    conversation.turns = [("old " * 200, "yes " * 100), ("new", "no")]
    both = ask(conversation, "And why?").usage.prompt_tokens
    conversation.turns = [("new", "no")]
    assert ask(conversation, "And why?").usage.prompt_tokens == both <= 512


def test_of_a_long_conversation_the_last_turns_count(conversation: Conversation) -> None:
    """Whoever sends it: the server's clients send all that they have."""
    turns = tuple([("a", "b")] * 25)

    def tokens(count: int) -> int:
        asked = Question("And why?", turns=turns[:count], max_new_tokens=1)
        *_, last = answering.answer(conversation.session, conversation.opened, asked)
        assert isinstance(last, Answer)
        return last.usage.prompt_tokens

    assert tokens(19) < tokens(20) == tokens(25) < 512


def test_no_more_texts_are_read_again_than_there_is_room_for(conversation: Conversation) -> None:
    from mplus_cli.asking.prompting import compose, measure

    session = conversation.session
    draft = measure(session, Question("who?"))
    texts = iter(["The goat ate the rope. " * 4] * 1000)
    assert draft.room - 8 <= len(compose(session, draft, texts)) <= draft.room
    assert len(list(texts)) > 950


def test_an_answer_cut_short_is_no_turn(conversation: Conversation) -> None:
    events = conversation.ask("who?")
    next(events)
    assert isinstance(events, Iterator)
    events.close()  # type: ignore[attr-defined]
    assert conversation.turns == []


def test_the_question_before_is_looked_up_too(conversation: Conversation) -> None:
    from mplus_cli.asking.prompting import query_ids

    session = conversation.session
    first = query_ids(session, Question("the goat"))
    second = query_ids(session, Question("why"))
    assert query_ids(session, Question("why", turns=(("the goat", "x"),))) == first + second


def test_a_follow_up_is_answered_as_it_would_be_alone(
    book: str, tiny_but: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a name for its pronoun; /retry, /resume and the server ask with the same turns."""
    tiny_but(quote_weight=4.0)
    conversation = begun(book)

    def told(question: str, *turns: tuple[str, str]) -> tuple[Answer, Answer]:
        conversation.turns = list(turns)
        later = ask(conversation, question)
        conversation.turns = []
        alone = ask(conversation, later.understood_as or question)
        assert later.question == question and alone.understood_as is None
        assert (later.answer, later.sources) == (alone.answer, alone.sources)
        return later, alone

    sexton = ("Who is the sexton of Moonfleet?", "Ratsey")
    later, alone = told("And where did he live?", sexton, ("Who is he?", "the sexton"))
    assert later.understood_as == "Where did Ratsey live?"
    assert later.usage.prompt_tokens == alone.usage.prompt_tokens
    later, alone = told("How deep is the well?", sexton)
    assert later.understood_as is None
    assert later.usage.prompt_tokens == alone.usage.prompt_tokens
    conversation.turns = [sexton]
    chat_view.show_answer(conversation.ask("Who is he?"), sources=False)
    assert "  Understood as: Who is Ratsey?\n" in capsys.readouterr().err
    run_command(conversation, "/retry")
    assert conversation.turns == [sexton]
    conversation.quote = False  # a reader of its own words is given the turns, as ever
    assert ask(conversation, "Where did he live?").understood_as is None


def test_a_question_in_capitals_is_answered_as_in_ordinary_letters(
    book: str, tiny_but: Any
) -> None:
    """And shown as it was typed; a follow-up finds the name in it."""
    tiny_but(quote_weight=4.0)
    conversation = begun(book)
    plain, loud = (
        (ask(conversation, case("Where did Orla Finch keep the goat?")), conversation.begin())[0]
        for case in (str, str.upper)
    )
    assert loud.question == "WHERE DID ORLA FINCH KEEP THE GOAT?" and loud.understood_as is None
    assert (loud.answer, loud.sources) == (plain.answer, plain.sources)
    words, note = "Lit the lamp with a brass key", list[str]().append
    assert conversation.find(words.upper(), note) == conversation.find(words, note) != ()
    ask(conversation, loud.question)
    assert ask(conversation, "WHEN DID SHE SLEEP?").understood_as == "When did Orla Finch sleep?"
    assert conversation.turns[-1][0] == "WHEN DID SHE SLEEP?"


def test_small_talk_is_searched_for_nowhere(
    mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered like the title, in a chat too: there each line of standard input has its reply."""
    monkeypatch.setattr(answering, "retrieve", None)
    chat = mplus(
        "chat", "-m", book, stdin="Hello!\nthanks\nWho are you?\nBye!\nWho lit the lamp?\n"
    )
    assert (chat.code, chat.out, chat.err) == (0, f"{WHAT_TO_ASK}\n" * 3, "")
    (kept,) = mplus("log", "--json").json["conversations"]
    assert (kept["question"], kept["turns"]) == ("Hello!", 3)
    told = mplus("ask", "HELLO", "-m", book, "--json").json
    assert (told["answer"], told["reason"], told["sources"]) == (WHAT_TO_ASK, "about", [])
    assert told["question"] == "HELLO" and told["refused"] is False


def test_small_talk_does_not_come_between_a_question_and_its_follow_up(
    book: str, tiny_but: Any
) -> None:
    """Whoever sends the turns, as clients of OpenAI's API do."""
    tiny_but(quote_weight=4.0)
    conversation = begun(book)
    conversation.turns = [("Who is the sexton of Moonfleet?", "Ratsey"), ("Thanks!", WHAT_TO_ASK)]
    assert ask(conversation, "Where did he live?").understood_as == "Where did Ratsey live?"
    ask(conversation, "Thanks!")
    assert run_command(conversation, "/sources").lines[0].endswith("based on no passage")
    assert ask(conversation, "Where did he live?").understood_as == "Where did Ratsey live?"


def test_answers_are_quoted_unless_that_is_turned_off(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answered(session: object, opened: object, question: Any) -> Iterator[object]:
        asked.append(question.quote)
        return iter(())

    monkeypatch.setattr(answering, "answer", answered)
    for line in ("/quote", "/quote off", "/quote on"):
        run_command(conversation, line)
        list(conversation.ask("who?"))
    assert asked == [True, False, True]


def test_commands_decode_in_8_bits(conversation: Conversation) -> None:
    decoder = conversation.session.model.step_decoder
    assert isinstance(decoder, FastDecoder)
    assert all(isinstance(layer.down, Packed8) for layer in decoder._layers)


def test_commands(conversation: Conversation, mplus: Any, story: Path) -> None:
    told = run_command(conversation, "/help").lines
    assert len(told) == len(COMMANDS)
    starts = {line.index(one.does) for line, one in zip(told, COMMANDS.values(), strict=True)}
    assert len(starts) == 1
    assert run_command(conversation, "/memory").lines == ('memory "book"',)
    assert run_command(conversation, "/sources").lines == ("nothing has been answered yet",)
    ask(conversation, "who?")
    for typed, whole in (("/sources", False), ("/sources full", True)):
        reply = run_command(conversation, typed)
        assert (reply.sources, reply.whole) == (conversation.last.sources, whole)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="give full, or nothing"):
        run_command(conversation, "/sources all")
    assert run_command(conversation, "/reread 2").lines == (
        "the model also reads the text of the 2 best chunks",
    )
    assert conversation.reread == 2
    assert run_command(conversation, "/quote").lines == ("answers are quoted from the text",)
    assert run_command(conversation, "/quote off").lines == (
        "answers are generated from memory alone",
    )
    assert run_command(conversation, "/quit").quits
    assert mplus("ingest", story, "-m", "other", "-q").code == 0
    run_command(conversation, "/memory other")
    assert conversation.opened.stored.name == "other"
    assert conversation.turns == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/sorces", "did you mean /sources"),
        ("/zzz", "/help lists the commands"),
        ("/reread x", "give a whole number"),
        ("/quote maybe", "give on or off"),
        ("/memory bok", 'did you mean "book"'),
    ],
)
def test_commands_that_are_refused(conversation: Conversation, line: str, said: str) -> None:
    with pytest.raises((UsageError, MplusError), match=said):
        run_command(conversation, line)
    assert conversation.opened.stored.name == "book"


def test_commands_without_a_slash(conversation: Conversation) -> None:
    for line in ("exit", " QUIT "):
        assert is_command(line) and run_command(conversation, line).quits
    for line in ("help", "?"):
        assert is_command(line) and "/memory" in run_command(conversation, line).lines[1]
    for line in ("Quit!", "bye", "Goodbye."):
        assert run_command(conversation, line).quits
    for line in ("Who helps me?", "Where is the exit?", "Hello!"):
        assert not is_command(line)


def test_names_that_other_chats_have(conversation: Conversation) -> None:
    """Each does what the command does that it stands for; they are offered for a typing error too."""
    for line in ("/exit", "/bye", "/q", "/Exit"):
        assert is_command(line) and run_command(conversation, line).quits
    for line in ("/?", "/h"):
        assert run_command(conversation, line) == run_command(conversation, "/help")
    for line in ("/new", "/reset", "/clear"):
        conversation.turns = [("Who?", "Orla")]
        assert run_command(conversation, line).lines == ("a new conversation begins",)
        assert conversation.turns == []
    for line, command in (("/search", "/find"), ("/add", "/ingest")):
        with pytest.raises(UsageError, match=f"{command} needs"):
            run_command(conversation, line)
    assert run_command(conversation, "/continue") == run_command(conversation, "/resume")
    told = "\n".join(run_command(conversation, "/help").lines)
    for name in "/exit /bye /q /? /h /new /reset /search /add /continue".split():
        assert f" {name}," in told or f" {name})" in told, name
    with pytest.raises(UsageError, match="did you mean /new"):
        run_command(conversation, "/neww")


def test_one_document_and_passages(conversation: Conversation, mplus: Any, tmp_path: Path) -> None:
    other = tmp_path / "whales.txt"
    other.write_text("The whale was white. " * 6 + "Its name was Moby. It sank the ship.")
    assert mplus("ingest", other, "-m", "book", "--title", "Of Whales", "-q").code == 0
    run_command(conversation, "/memory book")
    assert run_command(conversation, "/document").lines == ("asking all documents",)
    assert run_command(conversation, "/document of w").lines == ('asking only "Of Whales"',)
    assert {source.document for source in ask(conversation, "who?").sources} == {"Of Whales"}
    found = run_command(conversation, "/find the whale was white").sources
    assert found and {source.document for source in found} == {"Of Whales"}
    named = run_command(conversation, "/find the whale in “Of Whales”")
    assert named.sources and named.lines == ()  # it alone is asked anyway
    assert run_command(conversation, "/find zeppelin").lines == ("nothing close to this was found",)
    assert completions(conversation, "/document O") == ["/document Of Whales"]
    assert run_command(conversation, "/document all").lines == ("asking all documents",)
    named = run_command(conversation, "/find the whale in “Of Whales”")
    assert named.sources
    assert named.lines == ('Only "Of Whales" was searched, as the question names it.',)
    for line in ("/find", "/document zzz"):
        with pytest.raises(UsageError):
            run_command(conversation, line)


def test_a_document_that_is_not_in_the_loaded_memory(
    conversation: Conversation, mplus: Any, tmp_path: Path
) -> None:
    """Read after the chat began: nothing is told of the others in its place."""
    late = tmp_path / "late.txt"
    late.write_text("The whale was white. Its name was Moby. " * 3)
    assert mplus("ingest", late, "-m", "book", "-q").code == 0
    run_command(conversation, "/document Late")
    conversation.reread = 2
    with pytest.raises(UsageError, match="nothing from these documents is in memory"):
        ask(conversation, "who?")
    with pytest.raises(UsageError, match="nothing from these documents is in memory"):
        run_command(conversation, "/find goat")


def test_a_stopped_answer_does_not_stop_the_next_command(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C raises, and is remembered until someone heeds it: loading a memory looks."""
    handler = Interrupts()
    before = signal.signal(signal.SIGINT, handler)

    def stopped(text: str) -> Iterator[Event]:
        os.kill(os.getpid(), signal.SIGINT)
        yield TextDelta(text)

    monkeypatch.setattr(Conversation, "ask", lambda _, text: stopped(text))
    monkeypatch.setattr(chat_view.capabilities, "is_conversation", lambda: True)
    typed = ["who?", "/memory book", "/quit"]
    monkeypatch.setattr(chat_view, "_typed", lambda *_: iter(typed))
    try:
        chat_view.run_chat(conversation, tmp_path / "history")
        assert not handler.seen
    finally:
        signal.signal(signal.SIGINT, before)


def test_completions(conversation: Conversation) -> None:
    assert completions(conversation, "/so") == ["/sources"]
    assert completions(conversation, "/memory b") == ["/memory book"]
    assert completions(conversation, "who") == []


def test_lines_from_a_pipe(mplus: Any, book: str) -> None:
    typed = "who?\n\n/nosuch\n/reread 1\n/sources\nwhy?\n/quit\nnever asked\n"
    result = mplus("chat", "-m", book, stdin=typed)
    assert result.code == 1  # one line of it failed
    assert "> " not in result.err
    assert "\x1b" not in result.out
    assert "there is no /nosuch" in result.err
    assert "  Story" in result.err
    asked = mplus("ask", "who?", "-m", book, "--no-sources").out
    assert result.out.startswith(asked)
    assert mplus("chat", "-m", book, stdin="/sources\n/quit\n").code == 0


def test_an_empty_memory_is_reported_before_a_model_is_loaded(mplus: Any) -> None:
    assert 'there is no memory "default"' in mplus("chat").error


def test_on_a_terminal(book: str, spawn: Any) -> None:
    child = spawn("chat", "-m", book)
    child.expect_exact("/help, Ctrl-D to leave")
    child.expect_exact("\x1b[?2004h")  # the prompt is ready for what is typed
    child.send("/mem\t")
    child.expect_exact("ory")
    child.send("\r")
    child.expect_exact('memory "book"')
    child.send("who is it?\x1b\ra second line\r")
    child.expect_exact("Story")
    child.expect_exact("\x1b[?2004h")
    child.send("half a line")
    child.sendintr()
    child.expect_exact("\x1b[?2004h")
    child.send("/nosuch\r")
    child.expect_exact("mplus: error: there is no /nosuch")
    child.expect_exact("\x1b[?2004h")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    history = Path(os.environ["MPLUS_HOME"]) / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "+who is it?\n+a second line\n" in history.read_text(encoding="utf-8")


# Those that read or write files, open an editor or ask again are tried by name above.
HARMLESS = sorted(
    COMMANDS.keys() - {"/ingest", "/export", "/edit", "/retry"} | {"/", "//", "/x", "/MEMORY"}
)


@hypothesis.settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    name=st.sampled_from(HARMLESS),
    rest=st.text(max_size=20)
    | st.sampled_from(["all", "on", "-1", "²", "../..", "book", "<|im_end|>"]),
)
def test_any_slash_command_works_or_is_refused(
    conversation: Conversation, name: str, rest: str
) -> None:
    line = f"{name} {rest}"
    with contextlib.suppress(MplusError):
        assert isinstance(run_command(conversation, line), Reply)
    assert all(typed.startswith(line) for typed in completions(conversation, line))
