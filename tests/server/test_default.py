"""The default model behind the server: an answer of the text, how sure it is, and `ask --server auto`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from mplus_cli.app import run
from mplus_cli.settings import DEFAULT_MODEL

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")


@pytest.mark.default_model
def test_it_answers_through_the_server(
    tmp_path: Path, process_of: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    fetched = platformdirs.user_data_path("mplus") / "base"
    if not fetched.is_dir():
        pytest.skip("fetch the base once: mplus model pull")
    (tmp_path / "base").symlink_to(fetched)
    server = process_of.start(tmp_path, Path(DEFAULT_MODEL), "--port", "0")
    try:
        text = b"The keeper of the Sallow lighthouse is called Orla Finch. She has a goat. " * 3
        server.post("/api/memories/default/documents?filename=a.txt", text)
        question = "Who is the keeper of the Sallow lighthouse?"
        chat = {"model": "default", "messages": [{"role": "user", "content": question}]}
        told = server.post("/v1/chat/completions", chat)
        message, whole = told["choices"][0]["message"], told["mplus"]
        assert "Orla Finch" in message["content"] and message["refusal"] is None
        assert 0 < whole["confidence"] <= 1 and whole["sources"][0]["answer_span"]
        with openai.OpenAI(base_url=f"{server.address}v1", api_key="none") as client:
            follow = {"role": "user", "content": "What does she have?"}
            first = client.chat.completions.create(**chat).choices[0].message
            messages = [*chat["messages"], first, follow]
            later = client.chat.completions.create(model="default", messages=messages)
        asked = {"question": "What does she have?", "turns": [(question, whole["answer"])]}
        rest = server.post("/api/memories/default/ask", asked)
        assert later.model_extra["mplus"]["understood_as"] == "What does Orla Finch have?"
        assert rest["understood_as"] == "What does Orla Finch have?"
        assert "goat" in later.choices[0].message.content
        monkeypatch.setattr("mplus_cli.runtime.session.load_model", None)
        line = ["--home", str(tmp_path), "--device", "cpu", "ask", question, "--json"]
        capsys.readouterr()
        assert run([*line, "--server", "auto"]) == 0
        here = json.loads(capsys.readouterr().out)
        assert {**here, "usage": None} == {**whole, "usage": None}
    finally:
        server.process.terminate()
        assert server.process.wait(120) == 0
