"""The scenarios of the catalogue at their small size, on the law itself (voucher law §18, §19)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tools.scenarios.catalogue import SCENARIOS, Scenario
from tools.scenarios.ledger_stage import LedgerStage
from tools.scenarios.stage import Facts, ScenarioFailed

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"


OF_THE_LAW = [scenario for scenario in SCENARIOS if scenario.network is None]


@pytest.mark.parametrize("scenario", OF_THE_LAW, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, tmp_path: Path) -> None:
    """It shows what it is there to show, and the naive model of the money agrees at the end."""
    stage = LedgerStage(tmp_path / "network")
    trio.run(scenario.run, stage, scenario.small)
    stage.audit()
    assert stage.facts.values


def test_a_figure_that_is_not_the_law_s_fails_the_scenario() -> None:
    facts = Facts()
    with pytest.raises(ScenarioFailed, match="discount is 2, must be 1"):
        facts.require("discount", 2, 1)


def test_a_refusal_that_does_not_come_fails_the_scenario(tmp_path: Path) -> None:
    stage = LedgerStage(tmp_path / "network")

    async def play() -> None:
        await stage.join("shop")
        document = stage.document("shop", "bank-1", 100, b"d")
        await stage.refused("DOCUMENT_DUPLICATE", "shop", document)

    with pytest.raises(ScenarioFailed, match="NOT_REFUSED: DocumentRegister of shop"):
        trio.run(play)


def test_a_hot_lot_leaves_as_much_state_after_200_draws_as_after_20(tmp_path: Path) -> None:
    """B5: what draws leave behind is the receipts that may not be used twice and, for a day, which
    transactions of which block were executed."""
    hot_lot = next(scenario for scenario in SCENARIOS if scenario.name == "hot-lot")
    kinds = []
    for draws in (20, 200):
        stage = LedgerStage(tmp_path / str(draws))
        trio.run(hot_lot.run, stage, draws)
        kinds.append(stage.record_counts())
    few, many = kinds
    grown = {kind for kind in many if many[kind] != few[kind]}
    assert grown == {"BANK_RECEIPT", "REMEMBERED"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_page_of_scenarios_says_what_the_catalogue_says(scenario: Scenario) -> None:
    row = (
        f"| {scenario.name} | {scenario.row} | {scenario.shows} | "
        f"{scenario.size:,} ({scenario.small:,}) {scenario.unit} | `tally scenario {scenario.name}` |"
    )
    assert row in PAGE.read_text(encoding="utf-8").splitlines()
