"""The operator's address book."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from node.web.names import Names

ID = "00" * 15 + "07"


def test_it_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    names = Names(path)
    assert names.known(None) == {}
    path.write_text(json.dumps({ID: "Harbour Tours"}))
    assert names.known(None) == {bytes.fromhex(ID): "Harbour Tours"}
    path.write_text(json.dumps({ID: "港湾旅游"}))
    os.utime(path, ns=(1, 1))
    assert names.known(None) == {bytes.fromhex(ID): "港湾旅游"}
    path.unlink()
    assert names.known(None) == {}


@pytest.mark.parametrize(
    "spoiled", ["", "{", "[]", '{"7": "short id"}', json.dumps({ID: 5}), json.dumps({ID: ""})]
)
def test_a_spoiled_book_leaves_what_was_known(
    tmp_path: Path, spoiled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({ID: "Harbour Tours"}))
    names = Names(path)
    names.known(None)
    path.write_text(spoiled)
    os.utime(path, ns=(1, 1))
    assert names.known(None) == {bytes.fromhex(ID): "Harbour Tours"}
    assert "names not read" in capsys.readouterr().out
