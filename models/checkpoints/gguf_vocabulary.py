"""The tokenizer of a GGUF file, built from the tables in its header.

As `transformers` builds it, whose tokenizers tests compare: byte-level BPE with the file's merges, and
SentencePiece's BPE with merges that follow from the scores. Uses llama.cpp's names; reads no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    normalizers,
    pre_tokenizers,
)
from tokenizers import (
    Tokenizer as Backend,
)
from tokenizers.models import BPE

from models.checkpoints.loaded import CheckpointError
from models.schema import shown
from models.tokenizer import Tokenizer, byte_letters

CONTROL, USER_DEFINED = 3, 4
"""llama.cpp's types of tokens that are never spelled, and that are always matched whole."""
_SPACE = "\u2581"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT_4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS: Mapping[str, str] = {
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "pixtral": _LLAMA3,
    "dbrx": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "megrez": _QWEN2,
    "stablelm2": _QWEN2,
    "tekken": _TEKKEN,
    "gpt-4o": _GPT_4O,
    "llama4": _GPT_4O,
}
"""How text is cut before it is encoded, by `tokenizer.ggml.pre`."""
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Where it is cut as GPT-2 does, once every digit stands by itself."""
_AS_GPT_2 = (
    *(None, "default", "gpt-2", "phi-2", "olmo", "mpt", "jais", "exaone4", "mellum", "gigachat"),
    *("a.x-4.0", "modern-bert", "roberta-bpe"),
)
"""Where it is cut as GPT-2 does; old files do not say."""
_WHOLE_FIRST = ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "tekken")
"""Where a piece that is a token is that token, whether merges lead to it or not."""

Value = Callable[[str], Any]


def read_vocabulary(value: Value, architecture: str, path: Path) -> Tokenizer:
    """The tokenizer that a file describes.

    Args:
        value: of the file's header, by its key.

    Raises:
        CheckpointError: there is none, or it is of a kind that is not read.
    """
    kind, tokens = value("tokenizer.ggml.model"), value("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise CheckpointError(f"{path}: has no tokenizer: fetch the model again")
    if kind == "gpt2":
        backend = _byte_level(tokens, value, path)
    elif kind == "llama":
        backend = _sentencepiece(tokens, value, architecture)
    else:
        raise CheckpointError(
            f"{path}: has a {shown(kind)} tokenizer: supported are gpt2 and llama"
        )
    _add_special(backend, tokens, value("tokenizer.ggml.token_type") or (), kind == "gpt2")
    roles = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    special = {
        role: tokens[id]
        for role, name in roles.items()
        if (id := value(f"tokenizer.ggml.{name}_token_id")) is not None and id < len(tokens)
    }
    template = value("tokenizer.chat_template")
    return Tokenizer(backend, special, template if isinstance(template, str) else None)


def _byte_level(tokens: Sequence[str], value: Value, path: Path) -> Backend:
    letters = byte_letters()
    alphabet = set(letters.values())

    def spelled(token: str) -> str:
        if set(token) <= alphabet:
            return token
        return "".join(letters[byte] for byte in token.encode("utf-8"))

    vocabulary = {spelled(token): id for id, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ")) for merge in value("tokenizer.ggml.merges") or ()]
    cut_as = value("tokenizer.ggml.pre") or None
    backend = Backend(BPE(vocabulary, merges, ignore_merges=cut_as in _WHOLE_FIRST))
    backend.decoder = decoders.ByteLevel()
    gpt_2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if isinstance(cut_as, str) and cut_as in _SPLITS:
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        cut = pre_tokenizers.Split(Regex(_SPLITS[cut_as]), behavior="isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([cut, whole])
    elif cut_as in _DIGITS_APART:
        digits = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, gpt_2])
    elif cut_as in _AS_GPT_2:
        backend.pre_tokenizer = gpt_2
    else:
        raise CheckpointError(
            f"{path}: cuts text in a way that is not known here ({shown(cut_as)}): take the model as "
            "safetensors"
        )
    return backend


def _sentencepiece(tokens: Sequence[str], value: Value, architecture: str) -> Backend:
    is_gemma, is_phi = architecture.startswith("gemma"), architecture == "phi3"
    if is_gemma:  # runs of spaces stand there as they are
        tokens = [_SPACE * len(one) if " " in one and not one.strip() else one for one in tokens]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    # Gemma's scores do not follow the order of its merges; the order of its tokens does.
    scores = value("tokenizer.ggml.scores") or ()
    ranks = {token: -id for token, id in vocabulary.items()}
    if not is_gemma and len(scores) == len(tokens):
        ranks = dict(zip(tokens, scores, strict=True))
    model = BPE(vocabulary, implied_merges(vocabulary, ranks), fuse_unk=True, byte_fallback=True)
    backend = Backend(model)
    strip = [] if is_gemma else [decoders.Strip(content=" ", left=1)]
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    if is_gemma:
        backend.normalizer = normalizers.Replace(" ", _SPACE)
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    elif is_phi:
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
        )
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, "first", split=False)
    return backend


def implied_merges(
    vocabulary: Mapping[str, int], ranks: Mapping[str, float]
) -> list[tuple[str, str]]:
    """The merges of SentencePiece's BPE: every way to put a token together, best tokens first."""
    found = []
    for token, rank in ranks.items():
        own = [
            (token[:cut], token[cut:], rank)
            for cut in range(1, len(token))
            if token[:cut] in vocabulary and token[cut:] in vocabulary
        ]
        found += sorted(own, key=lambda merge: (vocabulary[merge[0]], vocabulary[merge[1]]))
    found.sort(key=lambda merge: (merge[2], len(merge[0]), len(merge[1])), reverse=True)
    return [(left, right) for left, right, _ in found]


def _add_special(
    backend: Backend, tokens: Sequence[str], kinds: Sequence[int], byte_level: bool
) -> None:
    alphabet = set(byte_letters().values())
    pairs = list(zip(tokens, kinds, strict=False))
    backend.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in pairs
            # One that is spelled with other letters was marked so by mistake.
            if kind == CONTROL and (not byte_level or set(token) <= alphabet)
        ]
    )
    backend.add_tokens(
        [
            AddedToken(token, normalized=False, special=False)
            for token, kind in pairs
            if kind == USER_DEFINED and backend.token_to_id(token) is not None
        ]
    )
