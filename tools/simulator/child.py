"""`python -m tools.simulator.child VARIANT FIRST COUNT`: seeds in a process of their own, one line each.

For checks that need another process: another PYTHONHASHSEED, or a source tree with a planted bug. It ends
with the first violation. VARIANT is a name of `variants.VARIANTS`, or `any`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from tools.simulator.judge import judge
from tools.simulator.seeds import plan_of
from tools.simulator.variants import seeds_of


@dataclass(frozen=True, slots=True)
class Line:
    """What a child says of one seed."""

    seed: int
    trace: str
    violation: str
    """Empty: none."""


def parse_line(text: str) -> Line:
    """A line of a child's output."""
    return Line(**json.loads(text))


def main(arguments: list[str]) -> int:
    variant, first, count = arguments[0], int(arguments[1]), int(arguments[2])
    for seed in seeds_of(variant, first, count):
        outcome = judge(plan_of(seed))
        line = Line(seed, outcome.trace, "".join(outcome.violations[:1]))
        print(json.dumps(asdict(line)), flush=True)
        if line.violation:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
