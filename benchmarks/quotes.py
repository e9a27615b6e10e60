"""How often the sentences that `mplus ask` shows hold a gold answer; one line of JSON.

    python -m benchmarks.quotes examples/story/questions.json examples/story/story.pdf

The sources are those of the whole answer, whose words decide between passages, as in `mplus ask`. `first`
looks at the quote of the first source, `any` at those of all; `first_both` and `any_both` at their second
quotes as well (`--json` has all of them). `terminal` looks at what a terminal shows: the quote of the source
that holds the answer, or of the first, and its second quote where the answer is doubtful, not given, or in
no passage. Gold answers are looked for as SQuAD normalises them, but in quotes and dashes as printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from models.matching import stands_in
from mplus_cli.asking import answering
from mplus_cli.asking.events import Answer
from mplus_cli.asking.open_memory import load_memory
from mplus_cli.asking.question import Question
from mplus_cli.ingest.job import Report, ingest, plan
from mplus_cli.runtime.session import open_session
from mplus_cli.settings import Flags, resolve
from mplus_cli.terminal.answer_view import shown_first


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("questions", type=Path, help="JSON: questions with answers")
    options.add_argument("document", type=Path, help="what they are about")
    options.add_argument("--home", type=Path, help="where to keep the memory, to ask it again")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = resolve(Flags())
        home = given.home or Path(folder)
        if not (home / "base").exists():
            home.mkdir(parents=True, exist_ok=True)
            (home / "base").symlink_to(settings.home / "base")
        session = open_session(replace(settings, home=home), note=print, progress=lambda *_: None)
        stored = session.library.open_or_create(given.document.stem, session.identity)
        planned = plan([str(given.document)], progress=lambda *_: None)
        for _ in ingest(session, stored, planned.given, Report(stored.name)):
            pass
        opened = load_memory(session, stored)
        asked = json.loads(given.questions.read_text(encoding="utf-8"))["questions"]
        counts = dict.fromkeys(("first", "any", "first_both", "any_both", "terminal"), 0)
        for entry in asked:
            (answer,) = (
                event
                for event in answering.answer(session, opened, Question(entry["question"]))
                if isinstance(event, Answer)
            )
            once = [stands_in(source.quote or "", entry["answers"]) for source in answer.sources]
            twice = [
                found or stands_in(source.second_quote or "", entry["answers"])
                for found, source in zip(once, answer.sources, strict=True)
            ]
            counts["first"] += any(once[:1])
            counts["any"] += any(once)
            counts["first_both"] += any(twice[:1])
            counts["any_both"] += any(twice)
            if answer.sources:
                best, second = shown_first(answer)
                counts["terminal"] += (twice if second else once)[answer.sources.index(best)]
    shares = {name: round(count / len(asked), 3) for name, count in counts.items()}
    print(json.dumps({"questions": len(asked), **shares}))


if __name__ == "__main__":
    main()
