"""What the pages say is complete in both languages, and nothing is said that no page asks for."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import get_type_hints

import pytest

import node.desk
import node.ledger
import node.web
from consensus.statistics import WaitingReason
from node.desk.accounts import Duty
from node.desk.proposals import State
from node.web.errors import STATUSES
from node.web.provenance import Passage
from node.web.shown import amount, day, rate, seconds, short, time
from node.web.standing import Standing
from node.web.texts import TEXTS, Language, text
from node.web.views.alarms import Concern
from node.web.words import ACTS, WORDS, act, word
from tallynet.commands import COMMAND_TYPES, Piece, command_name
from tallynet.envelope import Mode
from tallynet.records import DocumentUse, Promise

WEB = Path(node.web.__path__[0])
DESK = Path(node.desk.__path__[0])
LEDGER = Path(node.ledger.__path__[0])
CHINESE = re.compile("[\u4e00-\u9fff]")
ASKED = re.compile(r"""(?<![\w.])(?:t|text)\(\s*"([a-z_A-Z]+)"\s*[,)]""")


def _names(kind: type) -> set[str]:
    """Fields of a command, and those of what it holds."""
    text = str(get_type_hints(kind, include_extras=True))
    inner = [part for part in (Piece, DocumentUse, Promise) if part.__name__ in text]
    return {name for each in (kind, *inner) for name in each.__struct_fields__}


ENTERED = {
    name.rstrip("_12345")
    for path in DESK.glob("*.py")
    for name in re.findall(r'Field\(f?"([a-z_]+)', path.read_text(encoding="utf-8"))
}
"""Fields of the forms of the desk."""
REFUSED = set(re.findall(r'_not_done\("([A-Z_]+)"', (DESK / "desk.py").read_text(encoding="utf-8")))
"""Codes of the desk itself."""
SIGNED = {name for kind in COMMAND_TYPES for name in _names(kind) if f"as_signed_{name}" in TEXTS}
"""Fields of commands that are named in words; the rest stands below them as it is signed."""
MADE = {
    "wait": {*(reason.name for reason in WaitingReason), "UNREACHED"},
    "error": set(STATUSES) | {"title"},
    "edge": {passage.value for passage in Passage},
    "alarm": {concern.value for concern in Concern},
    "mode": {mode.name for mode in Mode},
    "flag": {"NO_TRANSFER", "FROZEN", "DISPUTED", "WRITTEN_OFF"},
    "proposal": {state.value for state in State},
    "desk": REFUSED,
    "duty": {duty.value for duty in Duty},
    "enter": {*ENTERED, "reason"},
    "wrong": set(re.findall(r'"(FIELD_[A-Z]+)"', (DESK / "entered.py").read_text()))
    | {"FIELD_SUM"},
    "as_signed": SIGNED,
}
"""Keys that are put together: beginning -> what may follow."""


def sources() -> str:
    files = (*WEB.rglob("*.html"), *WEB.rglob("*.py"), *DESK.rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_each_text_is_there_in_both_languages(key: str) -> None:
    chinese, english = TEXTS[key]
    if key not in ("lang", "other_language"):
        assert CHINESE.search(chinese)
        assert not CHINESE.search(english)
    fields = [{name for _, name, _, _ in Formatter().parse(said) if name} for said in TEXTS[key]]
    assert fields[0] == fields[1]
    assert "票据" not in chinese


def test_every_text_that_is_asked_for_is_there() -> None:
    asked = set(ASKED.findall(sources()))
    assert len(asked) > 100
    assert asked - TEXTS.keys() == set()


@pytest.mark.parametrize("beginning", sorted(MADE))
def test_every_text_that_is_put_together_is_there(beginning: str) -> None:
    there = {key.removeprefix(f"{beginning}_") for key in TEXTS if key.startswith(f"{beginning}_")}
    assert there == MADE[beginning]


def test_no_text_is_left_over() -> None:
    said = sources()
    for table in ("texts.py", "desk_texts.py"):
        said = said.replace((WEB / table).read_text(encoding="utf-8"), "")
    made = {f"{beginning}_{end}" for beginning, ends in MADE.items() for end in ends}
    assert [key for key in TEXTS if f'"{key}"' not in said and key not in made] == []


@pytest.mark.parametrize("kind", sorted(WORDS, key=lambda kind: kind.__name__))
def test_each_code_has_words_in_both_languages(kind: type) -> None:
    assert set(WORDS[kind]) == set(kind.__members__)
    for chinese, english in WORDS[kind].values():
        assert CHINESE.search(chinese)
        assert english.strip() and not CHINESE.search(english)
    for member in kind.__members__.values():
        assert word(member, Language.ZH) != word(member, Language.EN)


def test_every_command_and_event_has_words() -> None:
    commands = {command_name(kind) for kind in COMMAND_TYPES}
    ledger = "\n".join(path.read_text(encoding="utf-8") for path in LEDGER.glob("*.py"))
    events = set(re.findall(r'"((?:system\.)?[a-z_]+\.[a-z_.]+)"', ledger))
    assert len(commands) > 100
    assert ACTS.keys() == commands | events
    assert all(CHINESE.search(chinese) and english for chinese, english in ACTS.values())
    assert act("of.tomorrow", Language.ZH) == "of.tomorrow"


def test_the_banner_says_whether_and_why() -> None:
    def said(standing: Standing, language: Language = Language.EN) -> str:
        return standing.sentence(language)

    moving = Standing("bank-1", 7, 1, "COMMITS", ("bank-2",))
    assert said(moving) == "Blocks are being made; the newest is 7."
    assert moving.well
    stuck = Standing("bank-1", 7, 60, "COMMITS", ("bank-2", "bank-3"), 8, behind=2, evidence=1)
    assert said(stuck) == (
        "No block 8: waiting for Commit votes; waiting for bank-2, bank-3."
        " This node is 2 blocks behind. This node keeps 1 proofs of misbehaviour."
    )
    assert said(stuck, Language.ZH).startswith("区块 8 未产生：等待提交投票，等待 bank-2、bank-3。")
    assert not stuck.well
    idle = Standing("bank-1", 7, 3_600, "NOTHING_TO_DO")
    assert said(idle).startswith("Nothing waits for a block")
    assert idle.well
    copy = Standing("devices", 7, 4, "OK", is_copy=True)
    assert "4 seconds ago" in said(copy)
    lost = Standing("devices", 7, 4_000, "NOT_CONNECTED", is_copy=True)
    assert said(lost) == "The copy stands at block 7: NOT_CONNECTED."
    assert not lost.well


def test_amounts_are_exact() -> None:
    assert amount(123_456, "CNY") == "1,234.56"
    assert amount(10**17 - 1, "CNY") == "999,999,999,999,999.99"
    assert amount(1, "EUR") == "0.01"
    assert amount(-5, "CNY") == "-0.05"
    assert amount(1_234_567, "JPY") == "1,234,567"


def test_days_times_rates_and_ids() -> None:
    assert day(20_785) == "2026-11-28"
    assert day(0) == "–"
    assert time(1_795_824_000_999) == "2026-11-28T00:00:00Z"
    assert seconds(2**40) == "∞"
    assert rate(43_500) == "4.35 %"
    assert rate(10_000) == "1 %"
    assert short(bytes(range(16))) == "00010203"


def test_a_text_that_is_missing_is_a_fault() -> None:
    with pytest.raises(KeyError):
        text("no_such_text", Language.EN)
