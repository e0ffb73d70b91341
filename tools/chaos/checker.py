"""The judge of a run: the clients' logs against every node's chain. Pure; shares no code with the nodes.

Each rule is one function and one row of the verdict. A rule that had nothing to look at says so in its
count: a run that acknowledged nothing proves nothing, and fails (`something_happened`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tools.chaos.chain import Chain
from tools.chaos.record import Acknowledged, Submitted

PROBLEMS_MAX: Final = 20
"""Kept per rule; the first few say everything."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is judged."""

    submitted: Sequence[Submitted]
    acknowledged: Sequence[Acknowledged]
    setup_height: int
    """Blocks up to here hold what was done before the logs began."""
    chains: Sequence[Chain]
    """Of every node that is not broken on purpose."""
    barred: Mapping[int, int] = field(default_factory=dict)
    """Validator index -> height above which no certificate may hold its signature."""
    faulty: frozenset[int] = frozenset()
    """Validators that are Byzantine on purpose: what they signed may convict them. One that lost votes is
    not among them: it has to stay silent, so it never contradicts itself."""
    open: int = 0
    """Envelopes that had no receipt when the run gave up waiting after healing."""


@dataclass(slots=True)
class Finding:
    """One rule's verdict."""

    rule: str
    checked: int = 0
    problems: list[str] = field(default_factory=list)
    violations: int = 0

    @property
    def holds(self) -> bool:
        return not self.violations

    def violated(self, problem: str) -> None:
        self.violations += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


def judge(evidence: Evidence) -> list[Finding]:
    """The verdict of every rule."""
    return [rule(evidence) for rule in RULES]


def something_happened(evidence: Evidence) -> Finding:
    found = Finding("clients got acknowledgements", len(evidence.acknowledged))
    if not evidence.acknowledged:
        found.violated("no receipt ever reached a client")
    if not any(chain.first == 1 for chain in evidence.chains):
        found.violated("no node's whole chain was read")
    return found


def acknowledged_once(evidence: Evidence) -> Finding:
    """Every acknowledged transaction is in every chain exactly once, where the receipt says, with the
    receipt that the client holds. A node that fetched a state holds no blocks from before."""
    found = Finding("every acknowledged transaction: once, at its height, with its receipt")
    for chain in evidence.chains:
        places: dict[str, list[tuple[int, str]]] = {}
        for block in chain.blocks:
            for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
                place = (block.height, receipt.hex())
                places.setdefault(transaction.hex(), []).append(place)
        for entry in evidence.acknowledged:
            if entry.height < chain.first:
                continue
            found.checked += 1
            stored = places.get(entry.transaction, [])
            if len(stored) != 1:
                how = "lost" if not stored else f"executed {len(stored)} times"
                found.violated(f"{chain.node}: {entry.transaction} is {how}")
            elif stored[0] != (entry.height, entry.receipt):
                found.violated(
                    f"{chain.node}: {entry.transaction} stands at {stored[0][0]},"
                    f" acknowledged at {entry.height}, or with another receipt"
                )
    return found


def nothing_twice(evidence: Evidence) -> Finding:
    found = Finding("no transaction executed twice")
    for chain in evidence.chains:
        counts = Counter(t for block in chain.blocks for t in block.transactions)
        found.checked += len(counts)
        for transaction, count in counts.items():
            if count > 1:
                found.violated(f"{chain.node}: {transaction.hex()} is executed {count} times")
    return found


def nothing_invented(evidence: Evidence) -> Finding:
    found = Finding("no transaction that nobody submitted")
    known = {entry.transaction for entry in evidence.submitted}
    for chain in evidence.chains:
        for block in chain.blocks:
            if block.height > evidence.setup_height:
                for transaction in block.transactions:
                    found.checked += 1
                    if transaction.hex() not in known:
                        found.violated(f"{chain.node}: {transaction.hex()} at {block.height}")
    return found


def one_chain(evidence: Evidence) -> Finding:
    """Blocks and the state roots signed for them are equal at every height."""
    found = Finding("one chain: equal blocks and state roots on all nodes")
    agreed: dict[int, tuple[str, bytes, bytes]] = {}
    for chain in evidence.chains:
        for expected, block in enumerate(chain.blocks, chain.first):
            found.checked += 1
            if block.height != expected:
                found.violated(f"{chain.node}: height {expected} is missing")
                break
            here = (chain.node, block.block, block.state_root)
            first = agreed.setdefault(block.height, here)
            if first[1:] != here[1:]:
                found.violated(f"{chain.node} and {first[0]} differ at height {block.height}")
    return found


def one_height(evidence: Evidence) -> Finding:
    found = Finding("all nodes at one height with one state", len(evidence.chains))
    ends = {(chain.height, chain.state_root) for chain in evidence.chains}
    if len(ends) > 1:
        for chain in evidence.chains:
            found.violated(f"{chain.node}: {chain.height}, state {chain.state_root.hex()[:16]}")
    return found


def everything_decided(evidence: Evidence) -> Finding:
    """After healing, nothing stays undecided and every act of this load is lawful."""
    found = Finding("after healing every submission was decided and took effect")
    decided = {entry.transaction: entry for entry in evidence.acknowledged}
    for entry in evidence.submitted:
        found.checked += 1
        answer = decided.get(entry.transaction)
        if answer is None:
            found.violated(f"{entry.transaction} has no receipt")
        elif not answer.ok:
            found.violated(f"{entry.transaction} was refused at height {answer.height}")
    if evidence.open and found.holds:
        found.violated(f"the load reports {evidence.open} envelopes without receipt")
    return found


def barred_silent(evidence: Evidence) -> Finding:
    """No certificate that any node holds has a signature of a key that must not vote any more."""
    found = Finding("no vote of a barred node after its bar")
    for chain in evidence.chains:
        for block in chain.blocks:
            for signer in block.signers:
                bar = evidence.barred.get(signer)
                if bar is None or block.height <= bar:
                    continue
                found.violated(f"{chain.node}: validator {signer} signed height {block.height}")
            found.checked += any(block.height > bar for bar in evidence.barred.values())
    return found


def nobody_accused(evidence: Evidence) -> Finding:
    """No proof of misbehaviour against a validator that only crashed or lost its disk: it never signed
    two things for one place, whatever was done to it."""
    found = Finding("no honest validator is convicted by what it signed")
    for chain in evidence.chains:
        found.checked += 1
        for validator, what in chain.convicted.items():
            if validator not in evidence.faulty:
                found.violated(f"{chain.node} holds a proof against validator {validator}: {what}")
    return found


RULES: Final[tuple[Callable[[Evidence], Finding], ...]] = (
    something_happened,
    acknowledged_once,
    nothing_twice,
    nothing_invented,
    one_chain,
    one_height,
    everything_decided,
    barred_silent,
    nobody_accused,
)
