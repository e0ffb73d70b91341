"""Project lint for the deterministic core: allow-listed imports, no floats, asserts, sets in loops."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "consensus").glob("*.py"))
ALLOWED = {"__future__", "collections", "consensus", "dataclasses", "enum", "tallynet", "typing"}


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_only_allowed_imports(path: Path) -> None:
    for node in nodes(path):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in ALLOWED, name


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_no_floats_divisions_asserts_or_bare_excepts(path: Path) -> None:
    for node in nodes(path):
        assert not isinstance(node, ast.Assert | ast.Div)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_no_iteration_over_a_set(path: Path) -> None:
    """INV-20: sets are for membership only; whatever is iterated has an order."""
    for node in nodes(path):
        if isinstance(node, ast.For | ast.comprehension):
            source = node.iter
            assert not isinstance(source, ast.Set | ast.SetComp)
            is_call = isinstance(source, ast.Call) and isinstance(source.func, ast.Name)
            assert not (is_call and source.func.id in ("set", "frozenset"))  # type: ignore[attr-defined]


def test_files_stay_readable() -> None:
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 520 for path in FILES)


def test_the_relations_between_the_constants_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    from consensus import constants
    from tallynet.errors import InvariantViolated

    monkeypatch.setattr(constants, "T_STATUS_MS", 5_000)
    with pytest.raises(InvariantViolated):
        constants.check_relations()
