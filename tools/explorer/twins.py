"""Twins: honest code is made Byzantine by running one validator twice ("Twins: BFT Systems Made Robust").

Each scenario (`scenarios`) takes five real replicas through four divided rounds, then heals the network. Checked all the
time: one chain (INV-23), no correct key signs twice (INV-3), nobody but the twin is accused (INV-26), no correct replica
halts or distrusts its disk; in the end: every transaction is committed at every correct replica (INV-25).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from consensus.constants import T_PROGRESS_MS
from consensus.effects import ALL
from consensus.events import Event, Received, Tick, TransactionsHeld
from consensus.statistics import ReplicaStatus
from tallynet.codec import decode
from tallynet.errors import InvariantViolated
from tallynet.messages import Blocks, FetchBlocks, PeerMessage, SignedKind
from tools.explorer.meaning import REMEMBERED, Position, votes_in
from tools.explorer.network import VALIDATORS, accused, config, transaction
from tools.explorer.process import WALL_MS, Disk, Outcome, Process
from tools.explorer.scenarios import PROCESSES, ROUNDS, Division, Length, Round, name_of, scenario
from tools.explorer.snapshots import Snapshots, garbage_dies_young

TICK_MS: Final = 200
"""Every replica looks at the clock so often, all of them at once."""
SHORT_MS: Final = 200
"""A round that does not time out: many times what a block takes."""
LONG_MS: Final = 1_400
"""A round that does: the progress timer fires, and what that starts has time to end."""
HEALED_MS: Final = 60_000
"""By then every transaction must be committed: a minute, as every leader in turn could be the twin that has fallen silent."""
HOPS_MAX: Final = 200
"""Between two ticks; a view change with a block after it takes about ten."""
BLOCKS_SERVED_MAX: Final = 8
"""Committed blocks in one answer."""
VIOLATIONS_SHOWN: Final = 20
"""More say nothing new; each can be replayed."""
TRANSACTIONS: Final = tuple(transaction(number) for number in range(2 * (ROUNDS + 1)))
"""Two for every round and two after the network has healed."""
_BY_ENVELOPE: Final = {t.envelope: t for t in TRANSACTIONS}
CONFIGS: Final = tuple(
    replace(config(index), progress_max_ms=T_PROGRESS_MS, status_ms=2 * TICK_MS)
    for index in range(VALIDATORS)
)
"""The back-off does not grow, so that a round that times out has one length; Status comes less often than in the field,
because it costs time and finds little here."""


Votes = tuple[tuple[Position, bytes], ...]


@lru_cache(maxsize=REMEMBERED)
def opened(raw: bytes) -> tuple[PeerMessage, Votes]:
    """A message, decoded once for all who get it, and the votes in it."""
    message: PeerMessage = decode(PeerMessage, raw)
    return message, votes_in(message)


class Violation(Exception):
    """What must never happen did; the text says what."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scenario."""

    number: int
    blocks: int
    """Blocks that some process committed."""
    view: int
    """Highest view that a correct replica entered."""
    caught: bool
    """The twin was proven to have signed two things."""
    steps: int
    """Events handled by replicas."""
    violation: str
    """What must never happen and did; empty in a good scenario."""


class Network:
    """Five processes and what is under way between them. Time is a number."""

    def __init__(self, twin: int, log: Callable[[str], None] | None = None) -> None:
        """`twin`: the validator that runs twice. `log` gets a line for people for everything of note."""
        self._twin: Final = twin
        self._log: Final = log
        self._now_ms = 0
        self._indices: Final = [*range(VALIDATORS), twin]
        self._processes: Final[list[Process | None]] = [
            Process(CONFIGS[index], _BY_ENVELOPE, Disk(), 0, WALL_MS) for index in self._indices
        ]
        """None: a twin that halted."""
        self._correct: Final = [p for p in range(PROCESSES) if self._indices[p] != twin]
        self._under_way: Final[deque[tuple[int, int, PeerMessage]]] = deque()
        """(sender, receiver, message) in the order of arrival."""
        self._sets: Division = (0,) * PROCESSES
        self._submitted = 0
        self._chain: Final[dict[int, bytes]] = {}
        self._votes: Final[dict[tuple[int, SignedKind, int, int], bytes]] = {}
        self._caught = False
        self._steps = 0

    def result(self, number: int, violation: str = "") -> Result:
        """What happened so far in scenario `number`."""
        views = [self._process(place).replica.statistics().view for place in self._correct]
        return Result(number, len(self._chain), max(views), self._caught, self._steps, violation)

    # --- the scenario -----------------------------------------------------------------------------

    def divide(self, round_: Round) -> None:
        """One round. Raises Violation."""
        self._sets = round_.sets
        self._submit()
        if round_.length is Length.HOP:
            self._hop()
        else:
            self._pass(LONG_MS if round_.length is Length.TIMEOUT else SHORT_MS)

    def heal(self) -> None:
        """Everybody hears everybody, clients send again what they have no receipt for, and everything is committed in
        time. Raises Violation."""
        self._sets = (0,) * PROCESSES
        self._submit()
        for place in self._correct:
            self._step(place, TransactionsHeld(TRANSACTIONS))
        if not self._pass(HEALED_MS, self._is_done):
            raise Violation(
                f"not everything is committed {HEALED_MS // 1000} s after the network healed"
            )
        for place in self._correct:
            status = self._process(place).replica.statistics().status
            if status not in (ReplicaStatus.NORMAL, ReplicaStatus.CHANGING):
                raise Violation(f"correct validator {place} is {status.value}")

    def _submit(self) -> None:
        """Two new transactions; the twin's second copy gets them the other way round, and proposes another block."""
        new = TRANSACTIONS[self._submitted : self._submitted + 2]
        self._submitted += 2
        for place in range(PROCESSES):
            self._step(place, TransactionsHeld(new if place < VALIDATORS else new[::-1]))

    def _is_done(self) -> bool:
        return all(
            len(self._process(place).disk.remembered) == len(TRANSACTIONS)
            for place in self._correct
        )

    def _process(self, place: int) -> Process:
        """Of a correct validator, which never halts."""
        process = self._processes[place]
        if process is None:
            raise LookupError(f"process {place} has halted")
        return process

    # --- time and messages --------------------------------------------------------------------------

    def _pass(self, wait_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, a multiple of TICK_MS; True as soon as `until` holds after a tick."""
        for _ in range(wait_ms // TICK_MS):
            self._settle()
            if until is not None and until():
                return True
            self._now_ms += TICK_MS
            for place in range(PROCESSES):
                self._step(place, Tick(self._now_ms, WALL_MS + self._now_ms))
        self._settle()
        return until is not None and until()

    def _settle(self) -> None:
        """Hop after hop until nothing is under way."""
        for _ in range(HOPS_MAX):
            if not self._under_way:
                return
            self._hop()
        raise Violation(f"{HOPS_MAX} hops without an end")

    def _hop(self) -> None:
        """Everything that is under way arrives, in the order in which it was sent, where the division lets it."""
        for _ in range(len(self._under_way)):
            sender, receiver, message = self._under_way.popleft()
            if self._sets[sender] == self._sets[receiver]:
                source = self._indices[sender]
                if isinstance(message, FetchBlocks):
                    self._serve(receiver, source, message)
                else:
                    self._step(receiver, Received(source, message))

    def _serve(self, place: int, asker: int, request: FetchBlocks) -> None:
        process = self._processes[place]
        if process is not None:
            blocks = process.disk.chain[request.first - 1 : request.first - 1 + BLOCKS_SERVED_MAX]
            if blocks:
                self._send(place, asker, Blocks(tuple(blocks)))

    def _step(self, place: int, event: Event) -> None:
        process = self._processes[place]
        if process is None:
            return
        self._steps += 1
        index = self._indices[place]
        try:
            outcome = process.handle(event)
        except InvariantViolated as error:
            if index != self._twin:
                raise Violation(f"correct validator {index} halts: {error.code}") from None
            self._note(f"{self._name(place)} halts: {error.code}")
            self._processes[place] = None
            return
        for send in outcome.sends:
            message, votes = opened(send.message)
            if votes and index != self._twin:
                self._check_votes(index, votes)
            self._send(place, send.to, message)
        if outcome.blocks or outcome.evidence or (self._log is not None and outcome.log):
            self._look(place, process, outcome)

    def _send(self, place: int, to: int, message: PeerMessage) -> None:
        index = self._indices[place]
        for receiver in range(PROCESSES):
            validator = self._indices[receiver]
            if validator != index and to in (ALL, validator):
                self._under_way.append((place, receiver, message))

    # --- what must hold ---------------------------------------------------------------------------

    def _look(self, place: int, process: Process, outcome: Outcome) -> None:
        name = self._name(place)
        for block in outcome.blocks:
            height = block.header.height
            self._note(f"{name} commits height {height}, block {block.block.hex()[:6]}")
            if self._chain.setdefault(height, block.block) != block.block:
                raise Violation(f"two blocks are final at height {height}")
        for proof in outcome.evidence:
            culprit = accused(proof)
            self._note(f"{name} proves that {culprit} signed what no correct validator signs")
            if culprit != self._twin:
                raise Violation(f"validator {culprit} is accused and is correct")
            self._caught = True
        for event, fields in outcome.log:
            self._note(f"{name} {event} {' '.join(f'{k}={v}' for k, v in fields.items())}")

    def _check_votes(self, index: int, votes: Votes) -> None:
        """A correct key never signs two bodies for one position (INV-3)."""
        for (kind, view, height), body in votes:
            if self._votes.setdefault((index, kind, view, height), body) != body:
                raise Violation(f"validator {index} votes twice in view {view} at height {height}")

    def _name(self, place: int) -> str:
        return name_of(place, self._twin)

    def _note(self, line: str) -> None:
        if self._log is not None:
            self._log(f"{self._now_ms:>6} ms  {line}")


def replay(number: int, log: Callable[[str], None]) -> Result:
    """One scenario from its beginning, told to `log` line by line."""
    chosen = scenario(number)
    for line in chosen.describe():
        log(line)
    network = Network(chosen.twin, log)
    try:
        for at, round_ in enumerate(chosen.rounds):
            log(f"round {at}")
            network.divide(round_)
        log("healed")
        network.heal()
    except Violation as violation:
        log(f"VIOLATION: {violation}")
        return network.result(number, str(violation))
    return network.result(number)


class Runner:
    """Runs scenarios one after the other; the rounds that neighbours share only once."""

    def __init__(self) -> None:
        self._shared: tuple[int, tuple[Round, ...]] | None = None
        """(twin, all rounds but the last) of the scenario before."""
        self._snapshots = Snapshots()
        self._saved = b""
        self._violation = ""

    def run(self, number: int) -> Result:
        """What becomes of this scenario: the same as `replay` says."""
        chosen = scenario(number)
        shared = chosen.twin, chosen.rounds[:-1]
        if shared != self._shared:
            self._shared = shared
            self._share(*shared)
        network: Network = self._snapshots.load(self._saved)
        violation = self._violation
        if not violation:
            try:
                network.divide(chosen.rounds[-1])
                network.heal()
            except Violation as found:
                violation = str(found)
        return network.result(number, violation)

    def _share(self, twin: int, rounds: tuple[Round, ...]) -> None:
        network = Network(twin)
        self._violation = ""
        try:
            for round_ in rounds:
                network.divide(round_)
        except Violation as found:
            self._violation = str(found)
        self._snapshots = Snapshots()
        self._saved = self._snapshots.save(network)


@dataclass(slots=True)
class Tally:
    """Counts over many scenarios."""

    scenarios: int = 0
    blocks: int = 0
    """Heights committed."""
    views: int = 0
    """Views entered by correct replicas, the first one not counted."""
    caught: int = 0
    """Scenarios in which the twin was proven to have signed two things."""
    steps: int = 0
    """Events handled by replicas."""
    violations: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    """The first few violations: scenario and what went wrong."""

    def add(self, other: Tally) -> None:
        """Counts over further scenarios."""
        self.scenarios += other.scenarios
        self.blocks += other.blocks
        self.views += other.views
        self.caught += other.caught
        self.steps += other.steps
        self.violations += other.violations
        self.first = (self.first + other.first)[:VIOLATIONS_SHOWN]


def run_range(numbers: range) -> Tally:
    """All scenarios of a range."""
    runner, tally = Runner(), Tally()
    with garbage_dies_young():
        for number in numbers:
            found = runner.run(number)
            first = [(number, found.violation)] if found.violation else []
            tally.add(
                Tally(1, found.blocks, found.view, found.caught, found.steps, len(first), first)
            )
    return tally
