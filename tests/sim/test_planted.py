"""The planted bugs fit the code as it is, and the gate finds them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.simulator.planted import PLANTS
from tools.simulator.planted.gate import catch, chosen_plants
from tools.simulator.planted.plant import Plant, PlantError, planted
from tools.simulator.sweep import ROOT
from tools.simulator.variants import ANY, VARIANTS


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(PLANTS) >= 45
    assert len({plant.name for plant in PLANTS}) == len(PLANTS)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_it_can_be_planted_and_the_result_is_a_program(plant: Plant) -> None:
    source = (ROOT / plant.file).read_text(encoding="utf-8")
    changed = planted(plant, source)
    assert changed != source
    ast.parse(changed)
    assert plant.variant in (ANY, *VARIANTS)


def test_a_stale_one_says_where() -> None:
    plant = Plant("gone", "A1", "consensus/state.py", "no such text", "", ANY)
    with pytest.raises(PlantError, match=r"gone: .* 0 times in consensus/state\.py"):
        planted(plant, (ROOT / plant.file).read_text(encoding="utf-8"))


def test_an_unknown_name_is_refused_with_what_is_near() -> None:
    with pytest.raises(PlantError, match="quorum-f-plus-1"):
        chosen_plants(["quorum-f-plus-2"])


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("quorum-f-plus-1", "agreement"), ("batch-in-the-order-of-a-set", "determinism")],
)
def test_the_gate_catches(name: str, oracle: str) -> None:
    (plant,) = chosen_plants([name])
    found = catch(plant, seeds_max=4)
    assert found.caught
    assert found.oracle == oracle


def test_the_gate_lets_right_code_pass() -> None:
    """An edit that changes nothing survives: the gate does not catch what is no bug."""
    path = "consensus/pool.py"
    line = next(x for x in Path(ROOT / path).read_text().splitlines() if "def take(" in x)
    harmless = Plant("harmless", "none", path, line, line + "  # the same")
    found = catch(harmless, seeds_max=2)
    assert not found.caught
    assert found.seeds == 2
