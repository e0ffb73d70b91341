"""Bugs in how one validator set follows another (protocol §5.8, decision 0042)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.plant import Plant

MEMBERS: Final = (
    Plant(
        "next-set-hash-unchecked", "5.8", "consensus/normal_case.py",
        "            if header.next_validators != following:\n"
        '                fault = "another validator set for the next epoch"\n',
        "",
        "heirs",
    ),
    Plant(
        "previous-set-never-asked", "5.8, INV-15", "consensus/config.py",
        "        return self.previous.keys if last and self.previous is not None else None\n",
        "        return self.validators if last else None\n",
        "members",
    ),
    Plant(
        "change-takes-effect-too-early", "5.8, INV-7", "node/ledger/membership.py",
        "    return -(-(height + WINDOW_MAX) // epoch_length)\n",
        "    return -(-height // epoch_length)\n",
        "members",
    ),
    Plant(
        "laggard-hears-nothing-across-sets", "5.7", "consensus/status.py",
        "            self._catch_up.claim(source, status.committed)\n            return\n",
        "            return\n",
        "members",
    ),
    Plant(
        "handover-not-kept", "5.8, INV-12", "node/executor.py",
        "            batch.handover(delivery.header.epoch + 1, encode(handover))\n",
        "            pass\n",
        "members",
    ),
    Plant(
        "any-heirs-are-believed", "5.8, E9", "tallynet/validators.py",
        "        if header.next_validators != validators_hash(handover.validators):\n",
        "        if not handover.validators:\n",
        "swindlers",
    ),
)  # fmt: skip
