"""The enumeration of Twins scenarios: a number is a scenario, for ever.

Five processes, four validators of which one runs twice, go through four rounds. In each round they are divided into sets
that do not hear each other. The round lasts for one hop of the messages under way, so that the next division applies to
the next phase of the protocol; or for as long as blocks take; or until the progress timers fire. Which validator is the
twin is part of the scenario; it leads the views equal to its index modulo 4, so this is also the choice of the views in
which two leaders speak with one key.

The first `TWO_WAY` numbers are all scenarios with at most two sets; those above have up to three. Neighbours differ in
the last round only, so that the rounds before are run once for them; neighbouring groups are far apart, so that any
range of numbers is spread over the whole enumeration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tallynet.errors import invariant
from tools.explorer.network import VALIDATORS

ROUNDS: Final = 4
PROCESSES: Final = VALIDATORS + 1
"""The validators in order, then the twin's second copy."""
STRIDE: Final = 2_654_435_761
"""Groups are multiplied by this prime, modulo their number: neighbours land far apart."""


class Length(Enum):
    """How long a round is; the value is for people."""

    HOP = "for one hop"
    MOMENT = "for a moment"
    TIMEOUT = "until timers fire"


Division = tuple[int, ...]
"""The set that each process is in; the first process is in set 0, sets are numbered as they appear."""


def divisions(sets_max: int) -> Iterator[Division]:
    """Every way to divide the processes into at most so many sets."""

    def extend(head: Division) -> Iterator[Division]:
        if len(head) == PROCESSES:
            yield head
            return
        for label in range(min(max(head) + 2, sets_max)):
            yield from extend((*head, label))

    return extend((0,))


_DIVISIONS: Final = {sets: tuple(divisions(sets)) for sets in (2, 3)}


def _size(sets: int) -> tuple[int, int]:
    """(groups, scenarios in each): those of a group differ in the last round only."""
    rounds = len(Length) * len(_DIVISIONS[sets])
    return VALIDATORS * rounds ** (ROUNDS - 1), rounds


TWO_WAY: Final = _size(2)[0] * _size(2)[1]
"""Scenarios with at most two sets in every round."""
SCENARIOS: Final = TWO_WAY + _size(3)[0] * _size(3)[1]
"""All scenarios."""


@dataclass(frozen=True, slots=True)
class Round:
    """What the network is like for a while."""

    sets: Division
    length: Length


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario."""

    number: int
    twin: int
    """Index of the validator that runs twice."""
    rounds: tuple[Round, ...]

    def describe(self) -> list[str]:
        """One line for people per round, and one before."""
        lines = [
            f"scenario {self.number}: validator {self.twin} runs twice, as {self.twin} and {self.twin}'"
        ]
        for number, round_ in enumerate(self.rounds):
            groups = [
                " ".join(name_of(p, self.twin) for p in range(PROCESSES) if round_.sets[p] == label)
                for label in range(max(round_.sets) + 1)
            ]
            lines.append(f"round {number}: {' | '.join(groups)}, {round_.length.value}")
        return lines


def name_of(process: int, twin: int) -> str:
    """`0` .. `3`, and the twin's second copy."""
    return f"{process}" if process < VALIDATORS else f"{twin}'"


def scenario(number: int) -> Scenario:
    """The scenario of a number, 0 .. SCENARIOS - 1."""
    invariant(0 <= number < SCENARIOS, "TWINS no such scenario")
    sets, first = (2, 0) if number < TWO_WAY else (3, TWO_WAY)
    groups, per_group = _size(sets)
    group, last = divmod(number - first, per_group)
    rest, twin = divmod(group * STRIDE % groups, VALIDATORS)
    digits = [last]
    for _ in range(ROUNDS - 1):
        rest, digit = divmod(rest, per_group)
        digits.insert(0, digit)
    lengths = tuple(Length)
    rounds = tuple(
        Round(_DIVISIONS[sets][digit // len(lengths)], lengths[digit % len(lengths)])
        for digit in digits
    )
    return Scenario(number, twin, rounds)
