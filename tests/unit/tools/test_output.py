"""What is printed does not steer the terminal, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tools.output import Exit, Output, print_json, print_rows, say, stop, told

STEERING = "evil\x1b[2J\x9b31m\x07\u202e\rname[red]"
"""Clears the screen, changes the colour, beeps, turns the text round, overwrites the line, and is markup."""
PRINTERS: dict[str, Callable[[], None]] = {
    "say": lambda: say(STEERING),
    "told": lambda: told(Output.table, STEERING, name=STEERING),
    "told as JSON": lambda: told(Output.json, STEERING, name=STEERING),
    "rows": lambda: print_rows(STEERING, ("name",), [(STEERING,)]),
    "JSON": lambda: print_json({STEERING: [STEERING]}),
}


@pytest.mark.parametrize("name", PRINTERS)
def test_foreign_text_steers_no_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    PRINTERS[name]()
    shown = capsys.readouterr().out
    assert "evil" in shown
    assert "name[red]" in shown
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []


def test_an_error_is_one_line_that_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        stop(Exit.REFUSED, "CODE", STEERING + "\nsecond")
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "name[red]" in shown
    assert all(char.isprintable() for char in shown[:-1])


def test_json_says_exactly_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": STEERING, "凭证": "\U000e0001"})
    assert json.loads(capsys.readouterr().out) == {"name": STEERING, "凭证": "\U000e0001"}
