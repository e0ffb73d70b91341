"""Deterministic code is pure, and the lint that says so catches what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.purity import OWN, problems

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    str(path.relative_to(ROOT)) for package in OWN for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("package", OWN)
def test_every_deterministic_package_is_looked_at(package: str) -> None:
    assert any(name.startswith(f"{package}/") for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_deterministic_code_is_pure(name: str) -> None:
    found = problems(name, (ROOT / name).read_text(encoding="utf-8"))
    assert not found, "\n".join(map(str, found))


IMPURE = [
    ("import", "import trio"),
    ("import", "import lmdb"),
    ("import", "import time"),
    ("import", "import random as chance"),
    ("import", "import os.path"),
    ("import", "from os import environ"),
    ("import", "import socket"),
    ("import", "import threading"),
    ("import", "from datetime import date"),
    ("import", "from decimal import Decimal"),
    ("import", "import operator"),
    ("import", "import importlib"),
    ("import", "def f() -> int:\n    import secrets\n    return secrets.randbits(1)"),
    ("import", "from . import slots"),
    ("import", "import net.mesh"),
    ("import", "from node import store"),
    ("import", "import node.store"),
    ("import", "import tallynet_helpers"),
    ("import", "from tallynet import client"),
    ("import", "from tallynet.client import Client"),
    ("import", "from tallynet.keyfile import load"),
    ("float", "fee = 0.5"),
    ("float", "limit = 1e6"),
    ("float", "turn = 1j"),
    ("division", "half = total / 2"),
    ("division", "total /= 2"),
    ("division", "scale = 10 ** -2"),
    ("assert", "assert total >= 0"),
    ("except", "try:\n    pay()\nexcept:\n    pass"),
    ("async", "async def step() -> None: ..."),
    ("name", "seat = hash(key) % 4"),
    ("name", "order = sorted(parts, key=hash)"),
    ("name", "tie = id(lot)"),
    ("name", "share = float(total)"),
    ("name", "def share(part: float) -> int: ..."),
    ("name", "fen = round(total)"),
    ("name", "text = open('rates')"),
    ("name", "print(total)"),
    ("name", "rule = eval(text)"),
    ("name", "clock = __import__('time')"),
    ("name", "if __debug__:\n    check()"),
    ("name", "def other(id: int) -> int:\n    return id\ntie = id(lot)"),
    ("set order", "for key in {a, b}: use(key)"),
    ("set order", "for key in set(keys): use(key)"),
    ("set order", "for key in frozenset(keys) - done: use(key)"),
    ("set order", "for key in set(keys).union(more): use(key)"),
    ("set order", "for key in first.keys() & second.keys(): use(key)"),
    ("set order", "seen = {a, b}\nfor key in seen: use(key)"),
    ("set order", "def f(keys: set[bytes]) -> None:\n    for key in keys: use(key)"),
    ("set order", "def f(keys: frozenset[bytes] | None) -> list[bytes]:\n    return list(keys)"),
    ("set order", "def f(keys: list[bytes]) -> list[bytes]:\n    return [k for k in {*keys}]"),
    ("set order", "SEEN: Final = frozenset(keys)\ndef f() -> tuple[bytes, ...]:\n    return tuple(SEEN)"),
    ("set order", "class Slot:\n    members: frozenset[bytes]\ndef f(s: Slot) -> bytes:\n    return b''.join(s.members)"),
    ("set order", "class Pool:\n    def __init__(self) -> None:\n        self.held: Final[set[int]] = set()\n    def next(self) -> int:\n        return self.held.pop()"),
    ("set order", "class Pool:\n    def __init__(self) -> None:\n        self.held: Final = set()\n    def all(self) -> list[int]:\n        return [*self.held]"),
    ("set order", "def voters() -> set[int]: ...\nfirst = next(iter(voters()))"),
    ("set order", "weights = {key: 1 for key in set(keys)}"),
    ("set order", "first, second = {a, b}"),
    ("set order", "best = max({a, b}, key=weight)"),
    ("set order", "numbered = enumerate({a, b})"),
    ("set order", "unique = dict.fromkeys({a, b})"),
    ("set order", "def f():\n    yield from {a, b}"),
    ("set order", "if (fresh := {a, b}):\n    out.extend(fresh)"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "source"), IMPURE)
def test_impure_code_is_caught(rule: str, source: str) -> None:
    assert {problem.rule for problem in problems("consensus/planted.py", source)} == {rule}


PURE = [
    "from __future__ import annotations\nimport msgspec\nfrom collections.abc import Sequence",
    "from consensus.quorum import quorum\nfrom tallynet.hashing import block_hash",
    "half = total // 2\ntotal //= 2\nscale = 10**2",
    "def f(id: int) -> int:\n    return id",
    "def f(rows):\n    return [id for id, row in rows]",
    "try:\n    pay()\nexcept LedgerError:\n    raise",
    "for key in sorted({a, b}): use(key)",
    "for key in sorted(set(keys) - done): use(key)",
    "for key in [a, b]: use(key)",
    "for key, value in table.items(): use(key)",
    "for key in table.keys(): use(key)",
    "known = {a, b}\nif key in known and len(known) > 1: use(key)",
    "many = sum(1 for key in {a, b})",
    "all_in = all(key in table for key in set(keys))",
    "ordered = sorted([weigh(key) for key in {a, b}])",
    "doubled = {2 * key for key in {a, b}}",
    "both = {a} | {b}",
    "def f(keys: list[bytes]) -> None:\n    for key in keys: use(key)",
    "def f(keys: set[bytes]) -> None: ...\ndef g(keys: list[bytes]) -> None:\n    for key in keys: use(key)",
    "class A:\n    members: set[int]\nclass B:\n    members: list[int]\nfor m in b.members: use(m)",
    "'assert 1 / 2.0'  # assert print(0.5)",
]  # fmt: skip


@pytest.mark.parametrize("source", PURE)
def test_pure_code_passes(source: str) -> None:
    assert problems("consensus/planted.py", source) == []


def test_the_law_may_import_state_and_the_core_may_not() -> None:
    source = "from node.state.view import View"
    assert problems("node/ledger/planted.py", source) == []
    assert [problem.rule for problem in problems("consensus/planted.py", source)] == ["import"]


def test_state_does_not_import_the_law() -> None:
    source = "from node.ledger.context import Context"
    assert [problem.rule for problem in problems("node/state/planted.py", source)] == ["import"]


def test_a_problem_names_its_place() -> None:
    (found,) = problems("consensus/planted.py", "\n\nassert total\n")
    assert str(found).startswith("consensus/planted.py:3: assert: ")
