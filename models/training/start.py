"""From a training configuration and a base to a run: builds the network, the data and the loop.

Also writes what a run has learned as a checkpoint in our format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from models.attention import GROUPED
from models.checkpoints import attach_adapters, base_fingerprint, save_own
from models.checkpoints.adapters import PROJECTIONS, extract, inject
from models.checkpoints.base import load_base, load_tokenizer
from models.checkpoints.own import save_text_reader
from models.config import ConfigError
from models.decoder import Decoder
from models.merging import GENERATE, TEXT, UPDATE
from models.network import MPlusModel
from models.prompts import PromptFormat, encode_plain
from models.retriever import make_retriever
from models.stack import Stack
from models.training.chunks import ChunkMaker, Corpus, Mix
from models.training.config import PROMPT_TEMPLATE, TrainingConfig, has_saved
from models.training.data import read_books, read_passages, spans_only
from models.training.loop import Batches, Run
from models.training.prefetch import Prefetched
from models.training.processes import Processes
from models.training.rows import Rows
from models.training.sampler import Inline, Sampler
from models.training.stream import Stream, Wording
from models.training.text_reader import (
    TextSampler,
    TextStream,
    TextTrainee,
    held_out_loss,
)
from models.training.trainee import RetrieverTrainee, Trainee
from models.training.validation import make_probes, validate
from models.training.weights import (
    load_weights,
    mean_weights,
    read_weights,
    starting_weights,
)

Passages = Callable[[str, Sequence[str], int], Sequence[str]]
"""Chooses what a prompt shows: a question, the texts of the chunks in the prefix, and from how many of
them, to passages. Must be picklable."""
ENCODED = 30_000
"""Texts whose ids are cached."""
DECODED = 1_000
"""Chunks whose texts are cached."""

COUNTED_OF_BOOK = 20_000
"""Characters of each book in which token ids are counted."""


def start(
    config: TrainingConfig,
    folder: Path,
    base: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    weights: Sequence[Path] = (),
    processes: Processes | None = None,
    data_workers: int = 0,
    passages: Passages | None = None,
) -> tuple[Run, Any]:
    """A run in `folder`, new or resumed, and the base's tokenizer.

    With `text_lora_rank` it trains a reader of text, else the readers of memory.

    Args:
        base: folder of the base model in Hugging Face's format.
        processes: those that share the run; each builds its own share of the streams.
        data_workers: processes that draw the text ahead; 0: it is drawn in this one.
        weights: `weights.safetensors` of earlier stages, or folders of our checkpoints on the same base;
            a new run starts from their mean.
        passages: chooses the passages of prompts that show any (`TrainingConfig.reread`).

    Raises:
        ConfigError, DataError, CheckpointError: one line each.
    """
    if config.reread and passages is None:
        raise ConfigError("reread needs a way to choose passages: give one to `start`")
    torch.manual_seed(config.seed)
    attention = GROUPED if torch.device(device).type == "cpu" else "sdpa"
    loaded = load_base(base, device=device, dtype=dtype)
    make = StreamMaker(config, base, answer_end(loaded.tokenizer, loaded.stop_ids), passages)
    processes = processes or Processes()
    numbers = processes.share(config.streams)
    drawing: Inline | Prefetched
    if data_workers:
        drawing = Prefetched(make, numbers, data_workers)
    else:
        drawing = Inline(make(numbers))
    trainee: Trainee | TextTrainee
    sampler: Batches
    wording = make.wording(loaded.tokenizer)
    if config.text_lora_rank:
        inject(
            loaded.stack, TEXT, config.text_lora_rank, 2 * config.text_lora_rank, PROJECTIONS, dtype
        )
        trainee = TextTrainee(loaded.stack, attention)
        sampler = TextSampler(drawing, loaded.stack.device, pad=make.end)
        check = _text_validation(config, trainee, wording, pad=make.end)
    else:
        model = make_model(config, loaded.stack, loaded.bos_id, attention)
        reads = config.train_update or config.train_generate
        trainee = Trainee(model) if reads else RetrieverTrainee(model)
        sampler = Sampler(config, model, drawing, pad=make.end)
        check = _validation(config, model, wording, loaded.tokenizer)
    if weights and not has_saved(folder):
        found = mean_weights([read_weights(path) for path in weights])
        load_weights(trainee, starting_weights(found, config.text_lora_rank))
    run = Run(folder, config, trainee, sampler, check, processes)
    if not (config.train_update or config.text_lora_rank):
        _merge_writer(model, load_base(base, device=device, dtype=dtype).stack)
    return run, loaded.tokenizer


def _merge_writer(model: MPlusModel, base: Stack) -> None:
    """Have an update decoder that is not trained write with merged weights, which is faster.

    Args:
        base: the base once more, which becomes the writer.
    """
    adapter = extract(model.generate.stack, UPDATE)
    if adapter is not None:
        model.update = Decoder(base, adapter, attention=model.update.attention)


def make_model(
    config: TrainingConfig, stack: Stack, bos_id: int, attention: str = "sdpa"
) -> MPlusModel:
    """The network with fresh adapters and retriever on a base, everything in the base's type."""
    mplus, dtype = config.mplus, stack.dtype
    attach_adapters(stack, mplus.update_lora_rank, mplus.generate_lora_rank, dtype=dtype)
    # Named also at rank 0: without its own adapter a decoder is the base, whatever the other has.
    update = Decoder(stack, UPDATE, attention=attention)
    generate = Decoder(stack, GENERATE, attention=attention)
    retriever = make_retriever(mplus.retriever, generate.layers, generate.hidden)
    retriever.to(stack.device, dtype)
    return MPlusModel(mplus, update, generate, retriever, bos_id=bos_id)


def answer_end(tokenizer: Any, stop_ids: frozenset[int]) -> int:
    """The id that ends an answer: the base's own end of turn."""
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    return min(stop_ids) if end is None or end not in stop_ids else int(end)


@dataclass(frozen=True, slots=True)
class StreamMaker:
    """Makes a run's streams, in whichever process draws them."""

    config: TrainingConfig
    base: Path
    end: int
    """The id that ends an answer."""
    passages: Passages | None = None

    def __call__(self, numbers: Sequence[int]) -> list[Stream]:
        config = self.config
        passages = read_passages(config.qa)
        if config.spans:
            passages = spans_only(passages, config.spans)
        corpus = Corpus(passages, read_books(config.books))
        mix = Mix(**{entry.name: getattr(config, entry.name) for entry in fields(Mix)})
        wording = self.wording(load_tokenizer(self.base))
        stream = TextStream if config.text_lora_rank else Stream
        streams = []
        for number in numbers:
            seed = config.seed * 1000 + number
            maker = ChunkMaker(
                wording.encode,
                corpus,
                config.mplus.chunk_tokens,
                mix,
                seed=seed,
            )
            streams.append(stream(config, maker, wording, seed))
        return streams

    def wording(self, tokenizer: Any) -> Wording:
        """How questions are put to a base. Questions that recur are encoded once."""

        @lru_cache(ENCODED)
        def encode(text: str) -> list[int]:
            return encode_plain(tokenizer, text)

        form, passages, count = prompt_format(self.config), self.passages, self.config.reread

        @lru_cache(ENCODED)
        def prompt(question: str) -> tuple[list[int], list[int]]:
            return form.render(tokenizer, question)

        @lru_cache(DECODED)
        def decode(ids: tuple[int, ...]) -> str:
            return str(tokenizer.decode(ids, skip_special_tokens=True))

        def shown(question: str, chunks: Sequence[tuple[int, ...]]) -> str:
            assert passages is not None, "`start` checks"
            return "\n\n".join(passages(question, [decode(ids) for ids in chunks], count))

        def reread(question: str, text: str) -> list[int]:
            return form.render(tokenizer, question, context=text)[0]

        return Wording(encode, prompt, self.end, reread, shown if count else None)


def prompt_format(config: TrainingConfig) -> PromptFormat:
    """How questions are put to what a run trains."""
    return PromptFormat(template=PROMPT_TEMPLATE, answer_end="<|im_end|>\n", reread=config.reread)


def export(run: Run, folder: Path, *, name: str, base: Path, base_reference: str) -> None:
    """Write what the run has learned so far as a checkpoint; a reader of text into the one that is there.

    Raises:
        CheckpointError: there is none.
    """
    if run.config.text_lora_rank:
        reader = extract(run.stack, TEXT)
        assert reader is not None, "`start` injects it"
        save_text_reader(folder, reader)
        return
    model = run.model
    save_own(
        folder,
        config=model.config,
        base_reference=base_reference,
        name=name,
        prompt=prompt_format(run.config),
        retriever=model.retriever,
        stack=model.generate.stack,
        base_fingerprint=base_fingerprint(base),
    )


def _validation(
    config: TrainingConfig, model: MPlusModel, wording: Wording, tokenizer: Any
) -> Callable[[], dict[str, float]] | None:
    if not config.validation or not config.validation_questions:
        return None
    held_out = read_passages(config.validation)
    size = config.mplus.chunk_tokens
    corpus = Corpus(held_out, read_books(config.books)[:3])
    filler = ChunkMaker(wording.encode, corpus, size, Mix(), seed=99)
    probes = make_probes(
        wording.encode, held_out, filler, size, config.validation_questions, seed=7
    )
    return lambda: validate(
        model.with_fresh_bos(), wording, tokenizer.decode, probes, distractors=7
    )


def _text_validation(
    config: TrainingConfig, trainee: TextTrainee, wording: Wording, *, pad: int
) -> Callable[[], dict[str, float]] | None:
    if not config.validation or not config.validation_questions:
        return None
    corpus = Corpus(read_passages(config.validation), read_books(config.books)[:3])
    if config.spans:
        corpus = Corpus(spans_only(corpus.passages, config.spans), corpus.books)
    mix = Mix(padding=config.padding, passage_questions=1)
    filler = ChunkMaker(wording.encode, corpus, config.mplus.chunk_tokens, mix, seed=99)
    stream = TextStream(replace(config, unanswerable=0.0), filler, wording, seed=7)
    sampler = TextSampler(Inline([stream]), trainee.llama.device, pad=pad)
    batches, count = list[Rows](), 0
    while count < config.validation_questions:
        batches.append(sampler.batch())
        count += len(batches[-1].ids)
    return lambda: held_out_loss(trainee, batches)
