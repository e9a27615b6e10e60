"""From a question to token ids: chat templates, earlier turns, and text that cannot pose as markup.

Only the literal parts of a format are read for special tokens. Text of the user (question, context,
earlier turns) is always plain text, so "<|im_end|>" in a question is eleven characters and no more.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from models.schema import ConfigError, Integer, Text, check_fields, setting, shown

REFUSAL = "The text does not say."
"""The answer to questions about text that was never read: readers are trained to give it."""
PLAIN_TEMPLATE = "Question: {question}\nAnswer:"
_HOLE = "{question}"
_PLACE = "{memory}"
# Private-use characters, which pass through chat templates unchanged, as placeholders for a user's text.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """How a question is put to a model."""

    template: str | None = setting(None, Text(optional=True))
    """One turn, with a `{question}` placeholder; special tokens are written out. None: the
    tokenizer's chat template, or `Question: ... Answer:` if it has none."""
    system: str | None = setting(None, Text(optional=True))
    """System message for the chat template; `template` contains its own."""
    answer_end: str = setting("\n\n", Text())
    """What follows an earlier answer in a chat, with `template` or the plain form."""
    memory: str | None = setting(None, Text(optional=True))
    """The user's first message, with a `{memory}` and then a `{question}` placeholder: memory stands where
    text to read would. None: memory stands in front of the whole prompt."""
    reread: int = setting(0, Integer(0, 64))
    """From how many of the best chunks the model was trained to read passages again: they stand between
    the question and its repetition, so that a causal model reads them knowing what is asked. 0: it was
    not, and text that is shown stands in front of the question."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.template is not None and self.template.count(_HOLE) != 1:
            raise ConfigError(
                f"the prompt template needs {_HOLE} exactly once: {shown(self.template)}"
            )
        if self.memory is not None and (
            self.memory.count(_PLACE) != 1 or self.memory.partition(_PLACE)[2].count(_HOLE) != 1
        ):
            raise ConfigError(
                f"the user's message needs {_PLACE} once, and {_HOLE} behind it: {shown(self.memory)}"
            )
        if self.template is not None and self.system is not None:
            raise ConfigError(
                "a prompt has a template or a system message: write it in the template"
            )

    def to_dict(self) -> dict[str, Any]:
        """This format as JSON values."""
        young = {
            "memory": None,
            "reread": 0,
        }  # left out where unset, as in files of earlier versions
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if name not in young or value != young[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PromptFormat:
        """A format from JSON values.

        Raises:
            ConfigError: an unknown field, or a value of the wrong kind.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"the prompt is {shown(values)}: give an object")
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f"unknown prompt field {shown(name)}: known are {', '.join(known)}"
                )
        return cls(**values)

    def render(
        self,
        tokenizer: Any,
        question: str,
        *,
        turns: Sequence[tuple[str, str]] = (),
        context: str | None = None,
    ) -> tuple[list[int], list[int]]:
        """The ids of the whole prompt, without BOS, and of the bare question.

        Where memory has a place in the prompt, those behind it; what is in front of it is `header`.

        Args:
            turns: earlier questions and answers of a chat, oldest first.
            context: text to show: between the question and its repetition where the model was trained
                for that (`reread`), else behind memory where that has a place, else in front of the question.

        Raises:
            ValueError: the question is empty, or the base's chat template fails
                (`models.chat_template.ChatTemplateError`).
        """
        question = question.strip()
        if not question:
            raise ValueError("the question is empty")
        context = "" if context is None else context.strip()
        behind = ""
        asked = question
        if context and self.reread:
            asked = f"{question}\n\n{context}\n\n{question}"
        elif context and self.memory is None:
            asked = f"{context}\n\n{question}"
        else:
            behind = context
        texts = [text for turn in turns for text in turn] + [asked]
        prompt = self._ids(tokenizer, texts, behind)[1]
        bos = tokenizer.bos_token_id
        # A template that writes BOS once starts with it; ChatML's BOS opens every turn and stays.
        if prompt[:1] == [bos] and self._ids(tokenizer, [asked])[1].count(bos) == 1:
            prompt = prompt[1:]
        return prompt, encode_plain(tokenizer, question)

    def header(self, tokenizer: Any) -> list[int]:
        """The ids between BOS and memory; none where memory stands in front of the whole prompt."""
        head, rest = self._ids(tokenizer, ["?"])
        bos = tokenizer.bos_token_id
        once = head[:1] == [bos] and (head + rest).count(bos) == 1
        return head[1:] if once else head

    def _ids(
        self, tokenizer: Any, texts: Sequence[str], context: str = ""
    ) -> tuple[list[int], list[int]]:
        """Ids of a conversation in front of memory and behind it: questions and answers in turn, the last a
        question.

        Args:
            context: text behind memory, where that has a place.
        """
        skeleton = self._skeleton(tokenizer, len(texts))
        if self.memory is None:
            return [], _encode(tokenizer, skeleton, [*texts, self.system or ""])
        before, _, ask = self.memory.partition(_PLACE)
        before = skeleton.partition(_mark(0))[0] + before
        gap = ask[: len(ask) - len(ask.lstrip())]  # between memory and what follows it
        shown_text = f"{gap}{_mark(len(texts) + 1)}" if context else ""
        behind = shown_text + ask.replace(_HOLE, _mark(0)) + skeleton.partition(_mark(0))[2]
        given = [*texts, self.system or "", context]
        return _encode(tokenizer, before, given), _encode(tokenizer, behind, given, goes_on=True)

    def _skeleton(self, tokenizer: Any, count: int) -> str:
        """The literal text of a prompt, with a placeholder for each of `count` texts.

        The system message is the text after the last one.
        """
        marks = [_mark(number) for number in range(count + 1)]
        if self.template is None and getattr(tokenizer, "chat_template", None):
            roles = ("user", "assistant")
            messages = [(roles[n % 2], marks[n]) for n in range(count)]
            if self.system is not None:
                messages.insert(0, ("system", marks[count]))
            named = {
                name: token
                for name, token in tokenizer.special_tokens_map.items()
                if isinstance(token, str)
            }
            program = tokenizer.get_chat_template()
            return _chat_skeleton(program, tuple(messages), tuple(sorted(named.items())))
        template = self.template or PLAIN_TEMPLATE
        parts = [] if self.system is None else [marks[count] + "\n\n"]
        for number in range(0, count - 1, 2):
            parts.append(template.replace(_HOLE, marks[number]))
            parts.append(f" {marks[number + 1]}" if _ends_in_word(template) else marks[number + 1])
            parts.append(self.answer_end)
        parts.append(template.replace(_HOLE, marks[count - 1]))
        return "".join(parts)


def _mark(number: int) -> str:
    """What stands for the text of a number in a skeleton."""
    return f"{_OPEN}{number}{_CLOSE}"


@lru_cache(64)
def _chat_skeleton(
    program: str, messages: tuple[tuple[str, str], ...], special: tuple[tuple[str, str], ...]
) -> str:
    """Messages (role, content) rendered by a chat template."""
    from models.chat_template import render_chat

    listed = [{"role": role, "content": content} for role, content in messages]
    return render_chat(program, listed, dict(special))


def encode_plain(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text without BOS, in which nothing is a special token."""
    ids: list[int] = []
    for start, stop in plain_pieces(text, markup_of(tokenizer)):
        encoded = tokenizer(text[start:stop], add_special_tokens=False, split_special_tokens=True)
        ids += encoded["input_ids"]
    return ids


def markup_of(tokenizer: Any) -> re.Pattern[str] | None:
    """A pattern that finds where added tokens begin in a text; None if no text can hold one.

    The user's text is split there: `split_special_tokens` alone leaves added tokens that are not marked
    special. Single characters count only if they are marked special; runs of spaces, which some
    vocabularies add, do not count.
    """
    added = sorted(token for token in tokenizer.get_added_vocab() if len(token.strip()) > 1)
    return re.compile(f"(?={'|'.join(map(re.escape, added))})") if added else None


def plain_pieces(text: str, markup: re.Pattern[str] | None) -> list[tuple[int, int]]:
    """The spans (start, end) of a text split so that none holds a whole added token.

    Args:
        markup: from `markup_of`.
    """
    found = markup.finditer(text) if markup else ()
    bounds = [0, *(match.start() + 1 for match in found), len(text)]
    return [(start, stop) for start, stop in pairwise(bounds) if start < stop]


def _encode(
    tokenizer: Any, skeleton: str, texts: Sequence[str], *, goes_on: bool = False
) -> list[int]:
    """Ids of a skeleton: its literal parts may hold special tokens, everything between is plain text.

    A user's text and the literal text around it are encoded together, as the base saw them.

    Args:
        goes_on: the skeleton stands behind plain text.
    """
    special = tokenizer.get_added_vocab()
    ids: list[int] = []
    plain, encode = "", _encode_behind if goes_on else encode_plain
    for part, is_user in _parts(skeleton, texts):
        if is_user:
            plain += part
            continue
        for piece in _split(part, special):
            if piece in special:
                ids += encode(tokenizer, plain) if plain else []
                ids.append(special[piece])
                plain, encode = "", encode_plain
            else:
                plain += piece
    return ids + (encode(tokenizer, plain) if plain else [])


def _encode_behind(tokenizer: Any, text: str) -> list[int]:
    """As `encode_plain`, of a text behind another: some vocabularies put a space in front of the first."""
    before, whole = (encode_plain(tokenizer, one) for one in ("a", f"a{text}"))
    is_apart = whole[: len(before)] == before
    return whole[len(before) :] if is_apart else encode_plain(tokenizer, text)


def _parts(skeleton: str, texts: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Literal parts (False) and the user's texts (True), in order."""
    for number, part in enumerate(_MARK.split(skeleton)):
        yield (texts[int(part)], True) if number % 2 else (part, False)


def _split(text: str, tokens: Collection[str]) -> list[str]:
    """Text split around every occurrence of a token; the longest token wins."""
    if not tokens:
        return [text] if text else []
    ordered = sorted(tokens, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in ordered)
    return [piece for piece in re.split(f"({pattern})", text) if piece]


def _ends_in_word(template: str) -> bool:
    return template[-1] not in " \n>]"
