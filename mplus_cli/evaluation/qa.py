"""Questions about long documents: each document is read once by each reader, then asked about.

Yields typed events; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mplus_cli.documents import Chunk, Document, split_chunks
from mplus_cli.errors import MplusError
from mplus_cli.evaluation.arms import Arm
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.journal import Journal
from mplus_cli.evaluation.layouts import Sample
from mplus_cli.evaluation.reading import Runner
from mplus_cli.evaluation.values import DOCUMENT, Event, Notice, Probe, Progress, Question, Stream


def run(
    bench: Bench, samples: Sequence[Sample], arms: Sequence[Arm], journal: Journal
) -> Iterator[Event]:
    """Ask what is not in the journal yet; a document that cannot be read is noted and left out.

    Raises:
        MplusError: none of the documents can be read.
    """
    questions = [question for sample in samples for question in sample.questions]
    unknown = sum(not (question.passage or question.pages) for question in questions)
    if unknown and any(arm.context == "gold" for arm in arms):
        yield Notice(f"{unknown} questions without a known passage or pages are not in arm gold")
    runner = Runner(bench, journal, arms, questions)
    failed = 0
    for number, sample in enumerate(samples):
        if not any(runner.due(question, DOCUMENT) for question in sample.questions):
            continue
        yield Progress("documents", number, len(samples), sample.title)
        try:
            document = sample.load()
            chunks = split_chunks(document, bench.session.plain_tokenizer, bench.chunk_tokens)
            if not chunks:
                raise MplusError(f"{sample.title} has no text in it")
        except MplusError as error:
            failed += 1
            yield Notice(str(error))
            continue
        yield from runner.run(stream_of(sample, document, chunks))
    journal.clear_work()  # also what a run left that was interrupted after its last question
    if failed and failed == len(samples):
        raise MplusError("none of the documents could be read: check the paths in --data")


def stream_of(sample: Sample, document: Document, chunks: Sequence[Chunk]) -> Stream:
    """A document that was opened, with its questions to ask at its end."""
    tokens = sum(len(chunk.ids) for chunk in chunks)
    probes = []
    for asked in sample.questions:
        question = replace(asked, passage=_passage(asked, document))
        probes.append(Probe(question, DOCUMENT, len(chunks), _gold(asked, chunks), tokens))
    ids, texts = [chunk.ids for chunk in chunks], [chunk.text for chunk in chunks]
    return Stream(sample.title, ids, texts, probes)


def _gold(question: Question, chunks: Sequence[Chunk]) -> frozenset[int] | None:
    """The chunks on the pages, or with the passage, that answer a question; None: not known."""
    if question.pages is not None:
        first, last = question.pages
        spans = [(chunk.index, *chunk.pages) for chunk in chunks if chunk.pages]
        return frozenset(index for index, begin, end in spans if begin <= last and first <= end)
    if question.passage:
        return frozenset(c.index for c in chunks if question.passage in c.text) or None
    return None


def _passage(question: Question, document: Document) -> str | None:
    """What answers a question: its passage, or the text of its pages."""
    if question.passage or question.pages is None:
        return question.passage
    first, last = question.pages
    pages = [page.text for page in document.pages if first <= (page.number or 0) <= last]
    return "".join(pages) or None
