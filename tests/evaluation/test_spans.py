"""The arm `quoted` answers as `mplus ask` does: found by words too, a span of the text or none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mplus_cli.asking import answering
from mplus_cli.asking.confidence import FEATURES, FILE
from mplus_cli.asking.events import Answer
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question as Asked
from mplus_cli.evaluation.arms import ARMS
from mplus_cli.evaluation.bench import Bench
from mplus_cli.evaluation.trial import Trial
from mplus_cli.evaluation.values import Probe, Question, Stream

TEXT = (
    "The keeper of the lighthouse was called Orla Finch. She kept a goat named Admiral.\n\n"
    "Every night she wrote the weather in a green book and lit the lamp with a brass key.\n\n"
    "In March the storm took the boat, and a sailor named Pim swam to the rocks.\n\n"
)
QUESTIONS = (
    "Who lit the lamp?",
    "What did the storm take in March?",
    "a goat named Admiral",
    "who?",
    "Did the storm take the boat?",
)


@pytest.fixture(params=[0, 2], ids=["memory alone", "reread"])
def judged(request: pytest.FixtureRequest, tiny_checkpoint_folder: Path, tmp_path: Path) -> Path:
    """The tiny checkpoint, its answers from the text, with a calibration."""
    folder = tmp_path / "judged"
    shutil.copytree(tiny_checkpoint_folder, folder)
    card = json.loads((folder / "mplus.json").read_text())
    card["config"] |= {"quote_weight": 4.0}
    card["prompt"] |= {"reread": request.param}
    card["base"] = str(tiny_checkpoint_folder.parent / "tiny-base")
    (folder / "mplus.json").write_text(json.dumps(card))
    weights = dict.fromkeys(FEATURES, 0.0) | {"nats_each": 1.0, "near": 2.0}
    fitted = {"bias": 4.0, "weights": weights, "refuse": 0.1, "doubt": 0.2}
    values = {"format": 1, "words": {"bm25": 1.0, "window": 2.0}, "confidence": fitted}
    (folder / FILE).write_text(json.dumps(values))
    return folder


def test_quoted_answers_as_the_command_does(judged: Path, tmp_path: Path) -> None:
    from mplus_cli.ingest.job import Report, ingest, plan
    from mplus_cli.runtime.session import open_session
    from mplus_cli.settings import Flags, resolve

    (tmp_path / "story.txt").write_text(TEXT, encoding="utf-8")
    flags = Flags(str(judged), "cpu", "float32", tmp_path / "home", True)
    session = open_session(resolve(flags, {}), note=print, progress=lambda *_: None)
    stored = session.library.open_or_create("story", session.identity)
    given = plan([str(tmp_path / "story.txt")], progress=lambda *_: None).given
    assert list(ingest(session, stored, given, Report("story")))
    opened = load_memory(session, stored)
    stream = Stream("story", [()] * len(opened.texts), opened.texts)

    said: list[Any] = []
    for text in QUESTIONS:
        (answer,) = (
            event
            for event in answering.answer(session, opened, Asked(text, max_new_tokens=6))
            if isinstance(event, Answer)
        )
        question = Question(text, "story", text, ("",))
        probe = Probe(question, "document", len(opened.texts), None, 0)
        trial = Trial(Bench(session), "mplus", stream, probe, memory=opened.memory)
        quoted = trial.ask(ARMS["quoted"])
        assert quoted.answer == answer.answer
        assert quoted.prompt_tokens == answer.usage.prompt_tokens
        assert list(quoted.ranked[:3]) == [source.chunk for source in answer.sources]
        said.append(quoted.answer)
    assert len(set(said)) > 1
