"""`mplus ask`: what comes on which stream, the JSON, and every question that is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints import load
from models.checkpoints.reranker import save_reranker
from models.prompts import REFUSAL
from models.reranker import STATISTICS, Reranker
from mplus_cli.asking import answering, rereading
from mplus_cli.asking.confidence import FEATURES, FILE, SECOND_FEATURES
from mplus_cli.asking.sources import SOURCES
from mplus_cli.asking.whole import NOT_TOLD
from mplus_cli.errors import ExitCode
from mplus_cli.library import Library, ModelIdentity
from mplus_cli.runtime.tokens import AnswerText, PlainTokenizer
from mplus_cli.terminal.streaming import WrappedText
from mplus_cli.visible import visible
from mplus_cli.wording import SILENT

SHORT = ("--max-new-tokens", "8")


def test_json(mplus: Any, book: str) -> None:
    result = mplus("ask", "  Who keeps the goat?\n", "-m", book, "--json", *SHORT)
    assert result.code == 0
    assert result.err == ""
    answer = result.json
    assert list(answer) == [
        "question",
        "answer",
        "memory",
        "model",
        "sources",
        "usage",
        "reason",
        "confidence",
        "doubtful",
        "note",
        "understood_as",
        "refused",
    ]
    assert (answer["reason"], answer["doubtful"], answer["refused"]) in (
        ("length", False, False),
        ("stop", False, False),
    )
    assert answer["confidence"] is None, "the tiny model does not say how sure it is"
    assert answer["question"] == "Who keeps the goat?"
    assert (answer["memory"], answer["model"]) == ("book", "tiny-checkpoint")
    assert len(answer["sources"]) == SOURCES
    stored = Library(Path(os.environ["MPLUS_HOME"])).open(book)
    for source in answer["sources"]:
        fields = ["document", "pages", "chunk", "score", "text", "place"]
        fields += ["quote", "quote_span", "answer_span", "second_quote", "second_quote_span"]
        fields += ["quote_pages", "quote_place"]
        assert list(source) == fields
        if source["second_quote_span"] is not None:
            first, last = source["second_quote_span"]
            assert source["second_quote"] == source["text"][first:last]
            assert last <= source["quote_span"][0] or source["quote_span"][1] <= first
        start, stop = source["quote_span"]
        assert source["quote"] == source["text"][start:stop] == source["quote"].strip() != ""
        assert (source["document"], source["pages"]) == ("Story", None)
        assert source["text"] == stored.chunk(source["chunk"]).text
    scores = [source["score"] for source in answer["sources"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) <= 1
    usage = answer["usage"]
    assert list(usage) == [
        "prompt_tokens",
        "new_tokens",
        "stm_tokens",
        "recalled_tokens",
        "ltm_tokens",
        "seconds_to_first_token",
        "seconds",
    ]
    summary = stored.summary()
    assert (usage["stm_tokens"], usage["ltm_tokens"]) == (48, summary.ltm_tokens)
    assert 0 < usage["recalled_tokens"] <= 64
    assert 0 < usage["new_tokens"] <= 8
    assert 0 < usage["seconds_to_first_token"] <= usage["seconds"]


def test_pages_in_the_sources(mplus: Any, tiny: Path, make_pdf: Any) -> None:
    pdf = make_pdf("two.pdf", "The goat is Admiral. It is white", "The lamp has a brass key. Yes")
    mplus("ingest", pdf, "--title", "Two", "-q")
    result = mplus("ask", "which key?", *SHORT)
    assert {"  Two, p. 1", "  Two, p. 1-2", "  Two, p. 2"} & set(result.err.splitlines())
    pages = [source["pages"] for source in mplus("ask", "a?", "--json", *SHORT).json["sources"]]
    assert all(isinstance(first, int) and first <= last for first, last in pages)


def test_streams_and_sources(mplus: Any, book: str) -> None:
    whole = mplus("ask", "who?", "-m", book, "--json", *SHORT).json["answer"]
    shown = mplus("ask", "who?", "-m", book, *SHORT)
    assert shown.out == visible(whole) + "\n"
    assert shown.err.splitlines()[-1].startswith("  See also: at ")
    assert mplus("ask", "who?", "-m", book, *SHORT, "--no-stream").out == shown.out
    assert mplus("ask", "who?", "-m", book, *SHORT, "--no-sources").err == ""


def test_the_question_on_stdin(mplus: Any, book: str) -> None:
    given = mplus("ask", "-", "-m", book, "--json", *SHORT, stdin="who?\n").json
    asked = mplus("ask", "who?", "-m", book, "--json", *SHORT).json
    assert (given["question"], given["answer"]) == ("who?", asked["answer"])


def test_the_same_question_has_the_same_answer(mplus: Any, book: str) -> None:
    def ask(*options: str) -> str:
        answer: str = mplus("ask", "who?", "-m", book, "--json", *SHORT, *options).json["answer"]
        return answer

    drawn = ("--temperature", "1.5", "--top-p", "0.95", "--seed")
    assert ask() == ask("--seed", "3")
    assert ask(*drawn, "3") == ask(*drawn, "3")
    assert len({ask(*drawn, str(seed)) for seed in range(4)}) > 1


@pytest.fixture
def judged(tiny_but: Any) -> Any:
    """Makes the tiny checkpoint, with answers from the text and a calibration, the model in use."""
    folder = tiny_but(quote_weight=4.0)

    def write(bias: float, refuse: float = 0.1, doubt: float = 0.4) -> None:
        weights = dict.fromkeys(FEATURES, 0.0)
        fitted = {"bias": bias, "weights": weights, "refuse": refuse, "doubt": doubt}
        values = {"format": 1, "words": {"bm25": 1.0, "window": 2.0}, "confidence": fitted}
        (folder / FILE).write_text(json.dumps(values))

    write(0.0)
    write.folder = folder
    return write


def test_a_second_reader_is_asked_where_confidence_was_fitted_with_it(
    mplus: Any, book: str, judged: Any
) -> None:
    alone = mplus("ask", "Who lit the lamp?", "-m", book, "--json").json
    values = json.loads((judged.folder / FILE).read_text())
    values["confidence"]["weights"] |= dict.fromkeys(SECOND_FEATURES, 0.0) | {"text_behind": 1.0}
    (judged.folder / FILE).write_text(json.dumps(values))
    reader = judged.folder / "text_lora"
    for state in ("missing", "damaged"):  # which stops what needs it, and nothing else
        if state == "damaged":
            shutil.copytree(judged.folder / "update_lora", reader)
            (reader / "adapter_model.safetensors").write_bytes(b"no tensors")
        without = mplus("ask", "Who lit the lamp?", "-m", book)
        assert without.code == ExitCode.MISMATCH and "text_lora" in without.error
        assert mplus("chat", "-m", book, stdin="/stats\n").code == ExitCode.MISMATCH
        assert mplus("ask", "Who lit the lamp?", "-m", book, "--no-quote", *SHORT).code == 0
        assert mplus("ask", "Is the lamp lit?", "-m", book).code == 0
        assert mplus("find", "lit the lamp with a brass key", "-m", book).code == 0
        assert mplus("memory", "map", book, "--question", "Who lit the lamp?").code == 0
        other = judged.folder / f"{state}.txt"
        other.write_text("The whale was white. Its name was Moby.")
        assert mplus("ingest", other, "-m", state).code == 0
    shutil.rmtree(reader)
    shutil.copytree(judged.folder / "update_lora", reader)
    answer = mplus("ask", "Who lit the lamp?", "-m", book, "--json").json
    assert answer["confidence"] == 0.5, "that of its likeliest, which is behind none"
    assert answer["answer"].lower() in " ".join(
        source["text"].lower() for source in answer["sources"]
    )
    assert answer["sources"][0]["chunk"] == alone["sources"][0]["chunk"]


def test_an_answer_stands_in_a_source(mplus: Any, book: str, judged: Any) -> None:
    questions = ("who?", "Who wrote in a green book?", "What did the storm take in March?")
    answers = [mplus("ask", question, "-m", book, "--json").json for question in questions]
    given = [answer for answer in answers if answer["answer"] != REFUSAL]
    assert given
    for answer in given:
        assert answer["confidence"] == 0.5
        question = answer["question"]
        texts = [" ".join(source["text"].lower().split()) for source in answer["sources"]]
        assert any(answer["answer"].lower() in text for text in texts), answer
        assert mplus("ask", question, "-m", book).out == visible(answer["answer"]) + "\n"
        loose = mplus("ask", question, "-m", book, "--json", "--no-quote", *SHORT).json
        assert loose["answer"] != answer["answer"] and loose["confidence"] is None


def test_the_chunk_with_the_question_s_words_is_first(mplus: Any, book: str, judged: Any) -> None:
    """The tiny model's retriever is random; words are not."""
    for question, word in (("a sailor named Pim", "Pim"), ("lit lamp brass key", "brass")):
        answer = mplus("ask", question, "-m", book, "--json").json
        assert word in answer["sources"][0]["text"]


def test_a_doubtful_answer_comes_with_the_passage(mplus: Any, book: str, judged: Any) -> None:
    judged(-1.5)
    result = mplus("ask", "Who lit the lamp with a brass key?", "-m", book)
    assert result.code == 0 and result.out.strip()
    said, *shown = result.err.splitlines()
    assert said == "  The passage that fits the question best:"
    where = next(at for at, line in enumerate(shown) if line.startswith("  Story"))
    assert "brass" in " ".join(shown[:where])
    assert mplus("ask", "Who lit the lamp?", "-m", book, "--json").json["doubtful"] is True
    judged(1.0)
    shown = mplus("ask", "Who lit the lamp with a brass key?", "-m", book).err
    assert "fits the question" not in shown and "\n  Story" in shown


def test_unlikely_answers_are_withheld(mplus: Any, book: str, judged: Any) -> None:
    judged(-3.0)
    result = mplus("ask", "who?", "-m", book, "--json")
    assert (result.code, result.json["answer"]) == (0, REFUSAL)
    assert result.json["confidence"] is None and len(result.json["sources"]) == SOURCES


def test_strict_would_rather_have_no_answer(
    mplus: Any, book: str, judged: Any, user_folders: Path
) -> None:
    line = ("ask", "who?", "-m", book, "--no-sources")
    judged(-1.0)
    assert mplus(*line).out not in (f"{REFUSAL}\n", f"{SILENT}\n")
    declined = mplus(*line, "--strict")
    said = "No clear answer found in the text.\n"  # not that the text does not say
    assert (declined.code, declined.out, declined.err) == (ExitCode.REFUSED, said, "")
    answer = mplus(*line, "--strict", "--json").json
    assert (answer["answer"], answer["reason"], answer["refused"]) == (REFUSAL, "unsure", True)
    config = user_folders / "config" / "mplus" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("strict = true\n")
    assert mplus(*line).code == ExitCode.REFUSED
    assert mplus(*line, "--no-strict").code == 0
    judged(1.0)
    assert mplus(*line, "--strict").code == 0


def test_neither_yes_nor_no_where_answers_are_judged(mplus: Any, book: str, judged: Any) -> None:
    """No probability is known of them: asked about its example story, the default said No to eight of
    twelve true statements."""
    judged(9.0)
    line = ("ask", "Did Orla keep a goat?", "-m", book)
    for more, code in (((), ExitCode.DONE), (("--strict",), ExitCode.REFUSED)):
        result = mplus(*line, *more, "--json")
        answer = result.json
        assert (result.code, answer["answer"], answer["reason"]) == (code, REFUSAL, "unsure")
        assert answer["sources"] and answer["confidence"] is None
        shown = mplus(*line, *more)
        assert shown.out == "No clear answer found in the text.\n"
        assert "  The passage that fits the question best:" in shown.err.splitlines()
    assert mplus(*line, "--json", "--no-quote", *SHORT).json["reason"] != "unsure"


def test_a_doubtful_answer_says_so_without_sources(mplus: Any, book: str, judged: Any) -> None:
    judged(-1.5)
    line = ("ask", "Who lit the lamp with a brass key?", "-m", book, "--no-sources")
    for options in ([], ["--no-stream"]):
        result = mplus(*line, *options)
        assert result.out.strip() and result.err.startswith("  Not sure of this answer: ")
        assert len(result.err.splitlines()) == 1
    chat = mplus("chat", "-m", book, stdin="Who lit the lamp with a brass key?\n")
    assert chat.out == result.out and chat.err == result.err


@pytest.mark.parametrize("option", [("--no-quote",), ("--temperature", "1")])
def test_strict_needs_an_answer_of_the_text(
    mplus: Any, book: str, judged: Any, option: tuple[str, ...]
) -> None:
    result = mplus("ask", "who?", "-m", book, "--strict", *option)
    assert result.code == 2 and "--strict" in result.error


def test_strict_needs_a_model_that_says_how_sure_it_is(mplus: Any, book: str) -> None:
    result = mplus("ask", "who?", "-m", book, "--strict")
    assert result.code == 2 and "how sure" in result.error and "strict = true" in result.error


def test_drawn_answers_are_spelled_along_the_text(mplus: Any, book: str, tiny_but: Any) -> None:
    """A network of random weights says words of the chunks in its prefix, and of its own if it may."""
    tiny_but(quote_weight=1000.0)
    line = ("ask", "who?", "-m", book, "--json", "--max-new-tokens", "12", "--temperature", "1")
    held = {"The", "text", "does", "not", "say", "Yes", "No"}
    stored = Library(Path(os.environ["MPLUS_HOME"])).open(book)
    for row in stored.chunks(range(stored.view().chunks)):
        held |= set(re.findall(r"\w+", row.text))
    answer = mplus(*line).json["answer"]
    words = re.findall(r"\w+", answer)
    assert len(words) > 1
    assert {word.lower() for word in words[:-1]} <= {word.lower() for word in held}, answer
    assert any(word.startswith(words[-1]) for word in held | {words[0]}), "cut off at most"
    assert mplus(*line, "--no-quote").json["answer"] != answer


def test_reread_shows_text_up_to_the_limit(mplus: Any, book: str) -> None:
    def prompt(count: int) -> int:
        line = ("ask", "who?", "-m", book, "--json", *SHORT, "--reread", str(count))
        tokens: int = mplus(*line).json["usage"]["prompt_tokens"]
        return tokens

    sizes = [prompt(0), prompt(1), prompt(2), prompt(1000)]
    assert sizes[0] < sizes[1] < sizes[2] <= sizes[3] <= 512
    assert sizes[1] - sizes[0] <= 40


def test_who_was_trained_to_is_shown_passages_of_the_best_chunks(
    mplus: Any, book: str, story: Path, tiny_but: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[str]] = []
    compose = rereading.compose

    def spy(session: Any, draft: Any, texts: Any = ()) -> list[int]:
        shown.append(list(texts))
        return compose(session, draft, shown[-1])

    monkeypatch.setattr(rereading, "compose", spy)
    line = ("ask", "Who kept the logbook?", "-m", book, "--json", *SHORT)
    tiny_but(prompt={"reread": 2})
    default, two, none, unquoted = (
        mplus(*line, *more).json["usage"]["prompt_tokens"]
        for more in ((), ("--reread", "2"), ("--reread", "0"), ("--no-quote",))
    )
    assert default == two > none == unquoted
    assert shown[0] == shown[1] and 2 <= len(shown[0]) <= 3 and shown[2:] == [[], []]
    words = " ".join(story.read_text().split())
    assert all(" ".join(text.split()) in words for text in shown[0]), shown[0]


def test_a_memory_that_is_not_there(mplus: Any, book: str) -> None:
    result = mplus("ask", "who?", "-m", "bok")
    assert result.code == 1
    assert result.error == 'there is no memory "bok"; did you mean "book"?'


def test_the_only_memory_need_not_be_named(mplus: Any, book: str) -> None:
    """A line says which one was asked where nothing else does; reading still makes the default one."""
    told = '  memory "book", the only one'
    named, meant = (
        mplus("ask", "Who keeps the goat?", *more, *SHORT) for more in (("-m", book), ())
    )
    assert meant.code == 0 and meant.out == named.out
    assert meant.err.splitlines() == [told, *named.err.splitlines()]
    assert mplus("ask", "Who keeps the goat?", "--json", *SHORT).json["memory"] == book
    for quiet in (("--json",), ("--jsonl",), ("-q",)):
        assert told not in mplus("ask", "Who keeps the goat?", *quiet, *SHORT).err
    found = mplus("find", "lighthouse")
    assert found.code == 0 and found.err.splitlines()[0] == told
    asked = mplus("chat", stdin="Who keeps the goat?\n")
    assert asked.code == 0 and asked.out and asked.err.splitlines()[0] == told
    assert told not in mplus("chat", "--continue", stdin="Who?\n").err
    assert mplus("memory", "map").err.splitlines()[0] == told

    assert mplus("ingest", "-", stdin="The goat is called Admiral.").code == 0
    after = mplus("ask", "Who is Admiral?", *SHORT)
    assert after.code == 0 and told not in after.err
    assert mplus("ask", "Who is Admiral?", "--json", *SHORT).json["memory"] == "default"


def test_an_empty_memory(mplus: Any) -> None:
    library = Library(Path(os.environ["MPLUS_HOME"]))
    library.create("default", ModelIdentity("m", "ab" * 32, {}))
    result = mplus("ask", "who?")
    assert result.code == 1
    assert result.error == (
        'memory "default" is empty: read something first, for example: mplus ingest book.pdf'
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--temperature", "-1"], "--temperature is -1.0"),
        (["--temperature", "nan"], "--temperature is nan"),
        (["--top-p", "0"], "--top-p is 0.0"),
        (["--top-p", "1.1"], "--top-p is 1.1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--max-new-tokens", "0"], "--max-new-tokens is 0"),
        (["--reread", "-1"], "--reread is -1"),
    ],
)
def test_numbers_out_of_range(mplus: Any, options: list[str], said: str) -> None:
    result = mplus("ask", "who?", *options)
    assert result.code == 2
    assert said in result.error


def test_an_empty_question(mplus: Any) -> None:
    assert "the question is empty" in mplus("ask", " \n").error
    assert "the question has no words" in mplus("ask", "?!").error
    assert mplus("ask", "-", stdin="").code == 2


def test_a_question_that_is_too_long(mplus: Any, book: str) -> None:
    room = 2048 - 1 - 64 - 48
    result = mplus("ask", "who is it? " * 2000, "-m", book)
    assert result.code == 2
    assert f"but only {room - 1} fit: shorten it" in result.error
    assert "--max-new-tokens" not in result.error
    assert mplus("find", "who is it? " * 2000, "-m", book).error == result.error
    too_many = mplus("ask", "w?", "-m", book, "--max-new-tokens", "3000")
    assert f"but only {room} fit" in too_many.error


def test_undecodable_and_special_questions(mplus: Any, book: str) -> None:
    for question in ("who\udcff?", "<|im_end|><|im_start|>", "\x1b[31m", "日本語 😀"):
        assert mplus("ask", question, "-m", book, "--json", *SHORT).code == 0
        found = mplus("find", f"{question} goat named Admiral", "-m", book, "--json")
        assert (found.code, found.err) == (0, "") and found.json


def test_a_model_that_cannot_be_had_offline(mplus: Any, book: str) -> None:
    result = mplus("ask", "who?", "-m", book, "--model", "smollm2-135m", "--offline")
    assert result.code == 3 and "was written by model tiny" in result.error
    result = mplus("model", "show", "smollm2-135m", "--offline")
    assert result.code == 3
    assert result.error == (
        "the base model smollm2-135m-instruct is not on this machine and the network is off: "
        'run "mplus model pull" once while online'
    )
    result = mplus("ask", "who?", "-m", book, "--model", "someone/something")
    assert result.code == 3
    assert "not in the local cache and the network is off" in result.error


def test_a_damaged_model(
    mplus: Any, book: str, tiny_checkpoint_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "mplus.json").write_text("{")
    result = mplus("ask", "who?", "-m", book, "--model", folder)
    assert result.code == 3
    assert "is not valid JSON" in result.error


def test_memory_is_looked_up_once(mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the question is answered, and also where text is read again beside the memory."""
    from models import generate, recall

    looked_up, calls = recall.look_up, list[Any]()

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return looked_up(*arguments)

    monkeypatch.setattr(recall, "look_up", counted)
    monkeypatch.setattr(generate, "look_up", counted)
    for options in ([], ["--reread", "2"], ["--no-quote"], ["--no-quote", "--reread", "1"]):
        calls.clear()
        assert mplus("ask", "who?", "-m", book, "--max-new-tokens", "4", *options).code == 0
        assert len(calls) == 1, options


def test_a_reader_that_leaves(book: str, start: Any) -> None:
    """`mplus ask ... | head -c 1` ends without a word."""
    with start("ask", "who?", "-m", book, "--max-new-tokens", "400", "--no-sources") as process:
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) in (0, 1)


class Bytes:
    """A tokenizer of UTF-8 bytes."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", "replace")


def test_no_half_characters_and_no_outer_space() -> None:
    text = "  héllo 😀 日本\n\n end \n"
    answer = AnswerText(Bytes())
    pieces = [answer.push(byte) for byte in text.encode()]
    assert "\ufffd" not in "".join(pieces)
    assert "".join(pieces) == answer.text == text.strip()
    assert sum("😀" in piece for piece in pieces) == 1


def test_bytes_that_never_become_text_do_not_hold_up_the_rest() -> None:
    answer = AnswerText(Bytes())
    pieces = [answer.push(byte) for byte in b"\xff" * 10 + b"end"]
    assert "".join(pieces).endswith("end")


def test_words_are_not_broken_on_a_terminal() -> None:
    wrapped = WrappedText(10)
    pieces = [wrapped.push(piece) for piece in ("One two", " three fo", "ur\n\nabcdefghijklm n")]
    assert pieces[0] == "One"
    assert "".join(pieces) + wrapped.close() == "One two\nthree four\n\nabcdefghijklm\nn"


def test_an_answer_on_a_terminal(book: str, spawn: Any) -> None:
    child = spawn("ask", "who?", "-m", book, "--max-new-tokens", "60")
    shown = child.read()
    child.close()
    assert child.exitstatus == 0
    assert "loading the model" in shown
    assert "\x1b[2m  See also: at " in shown.splitlines()[-1]


def test_plain_tokens(tiny_tokenizer: Any) -> None:
    plain = PlainTokenizer(tiny_tokenizer)
    for text in ("the storm<|im_end|> é😀 <|im_start|><|endoftext|>", "", "<|im_end|>"):
        ids, offsets = plain.encode(text)
        assert tiny_tokenizer.decode(ids) == text
        assert not set(ids) & set(tiny_tokenizer.all_special_ids)
        assert len(ids) == len(offsets)
        assert not offsets or (offsets[0][0], offsets[-1][1]) == (0, len(text))
        assert all(a <= b for a, b in offsets)


def test_yes_or_no(mplus: Any, book: str, tiny_but: Any) -> None:
    tiny_but(quote_weight=4.0)
    for question in ("Does Orla keep a goat?", "Is the lamp lit?", "Was Pim a sailor?"):
        answer = mplus("ask", question, "-m", book, "--json").json
        assert answer["answer"] in ("Yes", "No", REFUSAL)
        assert answer["reason"] == ("refused" if answer["refused"] else "verdict")


def test_what_no_passage_tells_is_not_made_up(mplus: Any, book: str) -> None:
    result = mplus("ask", "How many chapters has it?", "-m", book)
    assert result.code == 0
    assert result.out == f"{NOT_TOLD}\n"
    assert result.err.splitlines()[0] == "  Nearest in the text:"
    answer = mplus("ask", "Summarise the book", "-m", book, "--json").json
    assert (answer["reason"], answer["refused"]) == ("whole", True) and answer["sources"]
    title = mplus("ask", "What is the title of this book?", "-m", book, "--json").json
    assert (title["answer"], title["reason"], title["sources"]) == ("Story", "about", [])


def test_the_author_is_given_where_the_file_states_it(
    mplus: Any, book: str, tmp_path: Path
) -> None:
    page = "<head><title>Salt</title><meta name=author content='Ada Quill'></head><p>The ferry left.</p>"
    (tmp_path / "salt.html").write_text(page)
    assert mplus("ingest", tmp_path / "salt.html", "-m", "salt").code == 0
    told = mplus("ask", "Who wrote this book?", "-m", "salt", "--json").json
    assert (told["answer"], told["reason"], told["refused"]) == ("Ada Quill", "about", False)
    assert mplus("ask", "Who wrote this book?", "-m", "salt").out == "Ada Quill\n"
    untold = mplus("ask", "Who wrote this book?", "-m", book, "--json", *SHORT).json
    assert untold["reason"] != "about"


def test_a_question_about_the_record_looks_up_no_passage(
    mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("retrieve", "gather_evidence"):
        monkeypatch.setattr(answering, name, None)
    line = ("ask", "What is the title of this book?", "-m", book, "--reread", "2")
    assert mplus(*line).out == "Story\n"


def test_sources_full(mplus: Any, book: str) -> None:
    line = ("ask", "who?", "-m", book, *SHORT)
    first, second = mplus(*line, "--sources", "full"), mplus(*line, "--full-sources")
    assert first == second == mplus(*line, "--sources=full")
    text = mplus(*line, "--json").json["sources"][0]["text"]
    assert text.split("\n")[0].strip() in first.err
    assert mplus("ask", "--sources", "who?", "-m", book, *SHORT) == mplus(*line)
    none = mplus(*line, "--no-sources")
    assert none == mplus("ask", "--sources", "none", *line[1:]) == mplus(*line, "--sources=none")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (REFUSAL, SILENT),
        (f"Sorry. {REFUSAL}", f"Sorry. {REFUSAL}"),
        ("The text is long", "The text is long"),
        ("The text", "The text"),
    ],
)
def test_what_the_reader_refuses_with_is_shown_as_less_certain(
    mplus: Any, book: str, monkeypatch: pytest.MonkeyPatch, said: str, shown: str
) -> None:
    """Streamed or not, in a chat and in a template; in JSON it is what the reader said."""

    class Saying:
        """An answer's text in two pieces, whatever the tokens are."""

        def __init__(self, tokenizer: Any) -> None:
            self.text, self._pieces = "", [said[:8], said[8:]]

        def push(self, id: int) -> str:
            piece = self._pieces.pop(0) if self._pieces else ""
            self.text += piece
            return piece

    monkeypatch.setattr("mplus_cli.asking.replying.AnswerText", Saying)
    line = ("ask", "Who keeps the goat?", "-m", book, "--no-quote")
    answer = mplus(*line, "--json").json
    assert (answer["answer"], answer["refused"]) == (said, REFUSAL in said)
    assert answer["reason"] == "refused" or not answer["refused"]
    for more in ((), ("--no-stream",), ("--template", "{{ answer }}")):
        assert mplus(*line, *more).out == f"{shown}\n"
    assert mplus("chat", "-m", book, stdin="/quote off\nWho?\n").out == f"{shown}\n"
    events = mplus(*line, "--jsonl").out.splitlines()[1:-1]
    told = "".join(json.loads(event)["text"] for event in events)
    assert told == ("" if said == REFUSAL else said)


def test_a_checkpoint_may_rank_chunks_by_reading_them(
    mplus: Any, tiny_but: Any, long_story: Path
) -> None:
    """Alike whether merged weights are kept, as for a file of questions, or not, as for one."""
    folder, asked = tiny_but(), "Who keeps the goat?"
    long_story.write_text(long_story.read_text()[:3000])
    assert mplus("ingest", long_story, "-m", "book", "-q").code == 0
    before = mplus("ask", asked, "-m", "book", "--json").json
    model = load(folder, dtype=torch.float32).model
    heads = model.generate.stack.architecture.heads
    weights = torch.full((len(model.memory_layers), heads, len(STATISTICS)), 5.0)
    save_reranker(folder, Reranker(weights, torch.ones(*weights.shape[:2], 2)))
    once = mplus("ask", asked, "-m", "book", "--json")
    assert (once.code, once.err) == (0, "")
    assert chunks_of(once.json) != chunks_of(before)
    line = json.dumps({"question": asked})
    kept = mplus("ask", "--questions", "-", "-m", "book", stdin=line)
    assert kept.code == 0
    assert chunks_of(json.loads(kept.out)) == chunks_of(once.json)


def chunks_of(answer: Any) -> list[int]:
    return [source["chunk"] for source in answer["sources"]]
