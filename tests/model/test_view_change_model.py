"""The model of the view change within small bounds, and each of its rules left out.

The searches are exhaustive, so an outcome that changes is never chance: either the model changed, or a
rule is missing, or a control no longer shows that the model would notice a missing rule.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tools.model.checker import MODEL, ModelError, check
from tools.model.configurations import CHECKS, CONFIGURATIONS, CONTROLS, Configuration

QUICK = [configuration for configuration in CONFIGURATIONS if configuration.quick]


@pytest.mark.parametrize("configuration", QUICK, ids=lambda configuration: configuration.name)
def test_what_must_hold_holds_and_what_must_break_breaks(
    configuration: Configuration, tmp_path: Path
) -> None:
    outcome = check(configuration, tmp_path)
    assert outcome.holds == configuration.holds, "\n".join(outcome.trail)
    assert outcome.states > 0


def test_a_trail_tells_how_two_blocks_became_final(tmp_path: Path) -> None:
    """Without the rule below the base: the fork that one faulty leader could make with a certificate
    that it alone held."""
    (control,) = (c for c in CONTROLS if "VOTES_BELOW_BASE" in c.without)
    trail = check(control, tmp_path).trail
    final = [line for line in trail if line.endswith("is final")]
    assert final == ["block 1 is final", "block 2 is final"]
    assert any("enters view 1 on block 1" in line for line in trail)


@pytest.mark.parametrize(
    "control",
    [
        control
        for control in CONTROLS
        if not {"VOTES_AFTER_LEAVING", "AMNESIAC_VOTES"} & set(control.without)
    ],
    ids=lambda control: control.name,
)
def test_the_reduced_schedule_hides_no_fork(control: Configuration, tmp_path: Path) -> None:
    """It skips interleavings: every fork that the full schedule finds must still be found. Two controls
    are left out because their forks are made of the very steps that it merges."""
    reduced = replace(control, first_leader=None, reduced=True)
    assert not check(reduced, tmp_path).holds


def test_every_rule_that_the_model_can_leave_out_is_a_control() -> None:
    """A define that no control uses would be a rule of which nobody knows whether it is needed."""
    text = MODEL.read_text(encoding="utf-8")
    known = set(re.findall(r"(?:#ifdef|#ifndef|defined\()\s*([A-Z_]+)", text))
    settings = {"ANY_LEADER", "REDUCED", "DISK_LOSS"}
    assert known - settings == {name for control in CONTROLS for name in control.without}


def test_every_check_runs_with_the_quorum_and_the_faults_of_the_protocol() -> None:
    for configuration in CHECKS:
        assert configuration.holds
        assert configuration.quorum is None
        assert configuration.byzantine <= (configuration.validators - 1) // 3


def test_a_tool_that_fails_is_an_error_and_no_outcome(tmp_path: Path) -> None:
    broken = replace(CHECKS[0], without=("byte=}",))
    with pytest.raises(ModelError) as caught:
        check(broken, tmp_path)
    assert caught.value.code == "MODEL_UNFINISHED"
