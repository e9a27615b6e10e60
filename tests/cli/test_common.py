"""What commands share: consent to what cannot be undone, and what is said after Ctrl-C."""

from __future__ import annotations

import pytest

from mplus_cli.commands.common import agreed, resumable
from mplus_cli.errors import UsageError
from mplus_cli.terminal import screen


@pytest.mark.parametrize(
    ("kept", "said"), [("3 of 9 chunks are kept", "3 of 9 chunks are kept\n"), ("", "")]
)
def test_interrupted_work_says_what_is_kept(
    capsys: pytest.CaptureFixture[str], kept: str, said: str
) -> None:
    with pytest.raises(KeyboardInterrupt), screen.meter() as meter, resumable(meter, lambda: kept):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == said


def test_without_a_terminal_nothing_is_agreed_to() -> None:
    assert agreed("Delete it?", "it is kept", yes=True)
    with pytest.raises(
        UsageError, match="it is kept: there is no terminal to ask on, so give --yes"
    ):
        agreed("Delete it?", "it is kept", yes=False)
