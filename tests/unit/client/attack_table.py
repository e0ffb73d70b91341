"""The table of attacks in docs/concepts/light-client.md, made of the attack suite:

    python -m tests.unit.client.attack_table

prints it; `test_attack_table` compares.
"""

from __future__ import annotations

import inspect

from tests.unit.client import test_attacks
from tests.unit.client.malicious import ATTACKS

HEAD = "| attack | where it is made | what the client says |\n| --- | --- | --- |\n"


def lies() -> str:
    """Lies of one node, each told by the only node and by the first of four."""
    rows = [f"| `{a.name}` | {a.ask.value} | {' or '.join(a.codes)} |" for a in ATTACKS]
    return HEAD + "\n".join(rows) + "\n"


def others() -> str:
    """What has a test of its own in tests/unit/client/test_attacks.py."""
    rows = [
        f"| `{name}` |"
        for name, found in sorted(vars(test_attacks).items())
        if name.startswith("test_")
        and inspect.isfunction(found)
        and name != "test_a_lie_is_refused_and_named"
    ]
    return "| test |\n| --- |\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(f"{lies()}\n{others()}")
