"""One seed: faults and lies for a while, then a quorum heals and everything must be decided."""

from __future__ import annotations

import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from consensus.constants import T_PROGRESS_MAX_MS
from consensus.effects import ALL
from node.store import WriteBatch
from node.store.tables import BLOCKS, EVIDENCE, HANDOVERS, BlockRow, ReceiptsRow
from tallynet.blocks import Commit, Header, Prepare
from tallynet.client.trust import Receipt
from tallynet.codec import decode, decode_trusted
from tallynet.commands import command_name
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import InvariantViolated, RemoteProtocolError
from tallynet.messages import PeerMessage, Signed, SignedKind
from tallynet.receipts import EnvelopeReceipt
from tallynet.validators import Handover, Succession
from tools.simulator.byzantine import BEHAVIOURS, Behaviour, Ring
from tools.simulator.byzantine.mutation import BODIES
from tools.simulator.clients import CLIENT_DELAY_US, RETRY_US, Pending, Session, SimulatedClient
from tools.simulator.faults import Faults
from tools.simulator.network import Network
from tools.simulator.node import JOIN_US, SimulatedNode, Votes
from tools.simulator.opening import opening
from tools.simulator.options import CALM, Plan
from tools.simulator.oracles import ORACLES, UNCONDITIONAL, Committed, Forks, Oracle, Violation
from tools.simulator.scheduler import EventStorm, Scheduler
from tools.simulator.signing import check_of
from tools.simulator.town import town_of

DECIDE_MS: Final = 30_000
"""From healing until everything is decided (reliability §5, oracle 9)."""
DECIDE_PER_LIAR_MS: Final = 20_000
"""... and for each view that a liar may lead meanwhile, with the back-off of a short storm."""
BACK_OFF_MS: Final = 2 * T_PROGRESS_MAX_MS
"""... and two caps where the back-off had the time to grow (A11)."""
AFTERSHOCK_MS: Final = 6_000
"""A dead leader after a time of commits: one patience of T_PROGRESS_MS, one view change, one block.
Doubled for each further validator that may have to be passed over."""
ANSWERED_MS: Final = 500
"""Until the last of them has answered."""
OPENING_MS: Final = 4_000
OPENING_VALIDITY_SECONDS: Final = 600
FORENSIC_MS: Final = 5_000
"""How long a run goes on after healing when too many lie for anything to be decided."""
SAMPLE_US: Final = 1_000_000
LAST_EVENTS: Final = 200
"""Events kept for the report of a failure."""
PROBE_DETAILS: Final = (77, 78)
"""What everybody asks for when the network has healed, and when the leader has died afterwards."""
RESTART_US: Final = 500_000
"""When a process is started again whose data was moved away."""


@dataclass(slots=True)
class Outcome:
    """What a run showed."""

    seed: int
    violations: list[str]
    simulated_ms: int = 0
    events: int = 0
    height: int = 0
    acknowledged: int = 0
    trace: str = ""
    """Hash over everything that happened: equal for equal seeds."""
    faults: Counter[str] = field(default_factory=Counter)
    coverage: Counter[str] = field(default_factory=Counter)
    """(command type, outcome) -> times."""
    mutations: Counter[str] = field(default_factory=Counter)
    """Kind of message, field and operator -> times."""
    forks: list[int] = field(default_factory=list)
    """Heights at which correct validators hold different blocks: only where too many lie."""
    last: list[str] = field(default_factory=list)
    """The last events, for people; only of a run that broke a promise."""

    @property
    def oracle(self) -> str:
        """Which promise was broken; empty: none."""
        return self.violations[0].partition(":")[0] if self.violations else ""


class Run:
    """Everything of one seed. Call `go` once."""

    def __init__(self, plan: Plan, *, keep: int = LAST_EVENTS) -> None:
        """`keep` is how many of the last events are remembered."""
        self.plan: Final = plan
        self.town: Final = town_of(
            plan.n, plan.window, plan.epoch_length, plan.day_seconds, plan.real_signatures,
            plan.spares,
        )  # fmt: skip
        self.check: Final = check_of(real=plan.real_signatures)
        self.succession: Final = Succession.of(self.town.genesis, self.check)
        """Every validator set that a correct process has made durable."""
        self.handovers: Final[list[Handover]] = []
        """The changes that led there."""
        self.scheduler: Final = Scheduler(plan.seed)
        self.network: Final = Network(self.scheduler, plan.strategy, CALM, plan.length_ms)
        self.charged: Final = plan.charged
        self.ring: Final = Ring(self, tuple(liar.node for liar in plan.liars))
        self.nodes: Final[list[SimulatedNode]] = []
        """By validator index; second copies of twins come after them."""
        self.healed = False
        self.core: list[SimulatedNode] = []
        """The correct processes that heal."""
        self.clocks_unreliable = False
        """At some time more clocks were wrong than validators may be faulty."""
        self.lies = 0
        """Messages that liars made up, changed, moved in time or held back."""
        self.mutations: Final[Counter[str]] = Counter()
        self.lies_refused = 0
        self.refused_messages = 0
        self._trace: Final = blake2b(digest_size=16)
        self._last: Final[deque[tuple[int, str, str, object]]] = deque(maxlen=keep)
        self._decoded: Final[dict[bytes, Any]] = {}
        self._acknowledged = 0
        self._acknowledged_height = 0
        """Of a liar, perhaps, that is ahead of all others: they have the block when all is decided."""
        self.newest_seconds = 0
        """Header time of the newest durable block anywhere."""
        self.coverage: Final[Counter[str]] = Counter()
        self._make_nodes()
        self.faults: Final = Faults(self)
        asked = UNCONDITIONAL if plan.forensic else ORACLES
        self._forks: Final = Forks(self)
        self.oracles: Final[list[Oracle]] = [self._forks, *(kind(self) for kind in asked)]
        self.clients: Final = [SimulatedClient(self, party) for party in self.town.clients]

    def _make_nodes(self) -> None:
        lying = {liar.node: liar.behaviour for liar in self.plan.liars}
        for index in range(self.plan.n + self.plan.spares):
            name = lying.get(index)
            made = None if name is None else BEHAVIOURS[name](self, index)
            self._make_node(index, f"n{index}", made)
        for first in [node.behaviour for node in self.nodes if node.behaviour is not None]:
            for copy in range(1, first.copies):
                self._make_node(first.index, f"n{first.index}" + "'" * copy, first.another())
        self.network.begin()

    def _make_node(self, index: int, name: str, behaviour: Behaviour | None) -> None:
        node = SimulatedNode(self, index, name, behaviour)
        if behaviour is not None:
            behaviour.placed(node)
        self.nodes.append(node)

    # --- the run --------------------------------------------------------------------------------

    def go(self) -> Outcome:
        """Storm, heal, decide, judge."""
        outcome = Outcome(self.plan.seed, [])
        try:
            self._judged()
        except Violation as violation:
            outcome.violations.append(str(violation))
        except EventStorm as storm:
            outcome.violations.append(f"bounded resources: {storm}")
        except Exception as error:  # noqa: BLE001 - whatever falls over would have ended a validator
            outcome.violations.append(f"crash: {_where(error)}")
        else:
            if not self.plan.forensic:
                self._count_coverage()
        outcome.forks = self._forks.heights
        outcome.simulated_ms = self.scheduler.now_us // 1000
        outcome.events = self.scheduler.count
        outcome.height = max((node.height for node in self.core), default=0)
        outcome.acknowledged = self._acknowledged
        outcome.trace = self._trace.hexdigest()
        outcome.faults = Counter(self.faults.injected)
        outcome.faults["Byzantine messages"] += self.lies
        outcome.coverage = self.coverage
        outcome.mutations = self.mutations
        if outcome.violations:
            outcome.last = self.last_events()
        return outcome

    def last_events(self) -> list[str]:
        """The events remembered, for people."""
        return [self._describe(*entry) for entry in self._last]

    def _judged(self) -> None:
        self.storm()
        self.heal()
        if self.plan.forensic:
            self.scheduler.run(self.scheduler.now_us + FORENSIC_MS * 1000)
        else:
            self.decide(self.decide_ms())
        if self.plan.aftershock:
            self._aftershock()
        for oracle in self.oracles:
            oracle.at_end()

    def decide_ms(self) -> int:
        """How long deciding may take after this plan's storm."""
        plan = self.plan
        long = plan.length_ms > T_PROGRESS_MAX_MS
        return DECIDE_MS + DECIDE_PER_LIAR_MS * len(plan.liars) + (BACK_OFF_MS if long else 0)

    def storm(self) -> None:
        """Opening, then requests and faults, until the network heals."""
        for node in self.nodes:
            node.start()
            if node.behaviour is not None:
                node.behaviour.begin()
        if self.plan.opening:
            self._open()
        self.network.weather = self.plan.weather
        for request in self.plan.requests:
            client = self.clients[request.client % len(self.clients)]
            self.scheduler.after(request.at_ms * 1000, client.act, request.detail)
        self.faults.schedule()
        self.scheduler.after(SAMPLE_US, self._sample)
        self.scheduler.run(self.scheduler.now_us + self.plan.length_ms * 1000)

    def _open(self) -> None:
        """The prepared market, stage by stage; a liar may make it slow, then it stays half-made."""
        valid_until = self.town.genesis.time_ms // 1000 + OPENING_VALIDITY_SECONDS
        deadline = OPENING_MS * 1000
        for stage in opening(self.town):
            for party, commands in stage:
                client = next(client for client in self.clients if client.party is party)
                client.submit(self.town.envelope(party, commands, valid_until))
            self.scheduler.run(deadline, lambda: not any(c.pending for c in self.clients))

    def _sample(self) -> None:
        for oracle in self.oracles:
            oracle.sample()
        self.scheduler.after(SAMPLE_US, self._sample)

    def heal(self) -> None:
        """Good weather for a quorum of correct processes, and for them alone: the others stay dead
        for ever, the liars go on lying (oracle 9: uniform faults always heal and hide livelocks)."""
        self.healed = True
        self.note("heal", "")
        self.network.calm()
        for node in self.nodes:
            node.slow_disk_until_us = 0
            node.disk.failure = None
            node.mark.fails = False
            node.offset_ms = 0
            if node.index in self.plan.dead:
                node.crash()
            elif node.behaviour is None or not node.alive:
                node.start()
        self.core = [
            node for node in self.nodes if not node.faulty and node.index not in self.plan.dead
        ]
        for client in self.clients:
            for pending in client.pending.values():
                pending.refused_by.clear()
            client.act(PROBE_DETAILS[0])

    def _aftershock(self) -> None:
        """The network works again: one more death must cost one short view change, which shows that
        a commit resets the back-off."""
        leader = self.leader()
        doomed = [node for node in self.core if node.index == leader] or self.core[:1]
        for node in doomed:
            self.note("fault", f"aftershock: {node} dies for ever")
            node.crash()
            self.core.remove(node)
        for client in self.clients:
            client.act(PROBE_DETAILS[1])
        faulty = len(self.plan.liars) + len(self.plan.charged) + len(self.plan.dead)
        # What may never be ordered is over for its client when f+1 have said so, asked one after the other, the
        # dead one perhaps among them.
        asking_ms = (self.plan.f + 2) * RETRY_US // 1000 + ANSWERED_MS
        self.decide(max(AFTERSHOCK_MS << faulty, asking_ms))

    def decide(self, within_ms: int) -> None:
        """Oracle 9: every pending request is decided in time, and everybody holds every block."""
        deadline = self.scheduler.now_us + within_ms * 1000
        decided = self.scheduler.run(deadline, self._is_decided)
        self.core = self.members
        if not decided:
            waiting = [
                f"{node}: height {node.height}, view {s.view}/{s.voted_view} in epoch {s.epoch},"
                f" {s.status.value}, {s.waiting.reason.value} {s.waiting.validators}"
                for node in self.core
                if node.machine is not None and (s := node.machine.replica.statistics())
            ]
            dead = [
                f"{node}: {node.halted or 'not running'}" for node in self.core if not node.alive
            ]
            left = sum(len(client.pending) for client in self.clients)
            what = f"{left} undecided after {within_ms} ms"
            raise Violation("liveness", "; ".join([what, *waiting, *dead]))

    def _is_decided(self) -> bool:
        if any(client.pending for client in self.clients):
            return False
        members = self.members
        heights = {node.height for node in members}
        level = len(heights) == 1 and min(heights) >= self._acknowledged_height
        return level and all(node.alive for node in members)

    @property
    def members(self) -> list[SimulatedNode]:
        """Those of the core that are in the newest validator set."""
        if not self.plan.spares:
            return self.core
        keys = self.succession.newest.keys
        public = [key.public_key().public_bytes_raw() for key in self.town.validators]
        return [node for node in self.core if public[node.index] in keys]

    # --- what happens ---------------------------------------------------------------------------

    def verify_vote(self, kind: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
        return bool(self.check(kind, self.town.hash, body, key, signature))

    def decoded(self, raw: bytes) -> Any:
        """The message in these bytes; equal bytes are decoded once, for all who receive them."""
        message = self._decoded.get(raw)
        if message is None:
            message = decode(PeerMessage, raw)
            if len(self._decoded) > 5_000:
                self._decoded.clear()
            self._decoded[raw] = message
        return message

    def vote(self, signed: Signed) -> Prepare | Commit:
        """The vote in a signed Prepare or Commit."""
        if signed.kind is SignedKind.PREPARE:
            return decode(Prepare, signed.body)
        return decode(Commit, signed.body)

    def sent(self, node: SimulatedNode, to: int, message: bytes) -> None:
        """A correct program sends to one validator, or to `ALL`."""
        self._trace.update(b"%d %d " % (self.scheduler.now_us, node.number))
        self._trace.update(message)
        self._last.append((self.scheduler.now_us, node.name, "sends", (to, message)))
        for oracle in self.oracles:
            oracle.sent(node, message)

    def signed(self, node: SimulatedNode, kind: SignedKind) -> None:
        for oracle in self.oracles:
            oracle.signed(node, kind)

    def started(self, node: SimulatedNode) -> None:
        self._last.append((self.scheduler.now_us, node.name, "starts", node.height))
        for oracle in self.oracles:
            oracle.started(node)

    def adopted(self, node: SimulatedNode) -> None:
        """A process has taken a fetched state for its own."""
        self._last.append((self.scheduler.now_us, node.name, "adopts a state", node.height))
        for oracle in self.oracles:
            oracle.adopted(node)

    def stored(self, node: SimulatedNode, batch: WriteBatch) -> None:
        """A batch is durable."""
        for _, proof in proofs_of(batch):
            for oracle in self.oracles:
                oracle.evidence(node, proof)
        self._follow_set(node, batch)
        if not batch.delivered:
            return
        for key, value in sorted(batch.rows[BLOCKS].items()):
            if value is None:
                continue
            row = decode_trusted(BlockRow, value)
            header = decode(Header, row.header)
            self.newest_seconds = max(self.newest_seconds, header.time_ms // 1000)
            height = int.from_bytes(key, "big")
            self._last.append((self.scheduler.now_us, node.name, "commits", height))
            if node.faulty:
                if node.behaviour is None:
                    for oracle in self.oracles:
                        oracle.put_by(node, row.certificate)
                continue
            block = Committed(
                height, row.block, header, row.header, row.certificate,
                decode(Commit, row.certificate.vote), row.envelopes,
            )  # fmt: skip
            for oracle in self.oracles:
                oracle.committed(node, block)

    def _follow_set(self, node: SimulatedNode, batch: WriteBatch) -> None:
        """A hand-over is durable: it must follow from the one before, and whom it names may start."""
        for _, value in sorted(batch.rows.get(HANDOVERS, {}).items()):
            if node.faulty or value is None:
                continue
            handover = decode(Handover, value[8:])
            try:
                if not self.succession.add(handover):
                    continue
            except RemoteProtocolError as error:
                raise Violation("agreement", f"{node} keeps a hand-over: {error}") from None
            self.handovers.append(handover)
            self.coverage["changes of the validator set"] += 1
            self.note(node.name, f"keeps the set since epoch {self.succession.newest.since}")
            self.faults.set_changed()
            for other in self.nodes:
                spare = other.index >= self.plan.n
                if spare if not other.alive else other.behaviour is None:
                    self.scheduler.after(JOIN_US, other.hears_of_sets)

    def breached(self, node: SimulatedNode) -> None:
        for oracle in self.oracles:
            oracle.breached(node, node.disk.breach)

    def halted(self, node: SimulatedNode, code: str, why: str) -> None:
        """A process ended because of its disk; only a disk that lies may not be started again."""
        self.note(node.name, f"halts: {code} {why[:80]}")
        if code == "STORE_CORRUPT":
            if not node.faulty:
                raise Violation("durability", f"{node} finds its store damaged: {why}")
            # The operator moves the data away and keeps the key: the node follows without a vote.
            node.disk.wipe()
            node.remembers_until(0, Votes(), mark_lost=False)
            self.scheduler.after(RESTART_US, node.start)

    def invariant_broken(self, node: SimulatedNode, error: InvariantViolated) -> None:
        self.note(node.name, f"halts on its own invariant: {error.code}")
        if not node.faulty and not self.plan.forensic:
            raise Violation("invariants", f"{node} violated {error.code}") from error
        if node.behaviour is not None:
            # What a liar did to its own machine must not end its lying.
            node.disk.wipe()
            self.scheduler.after(RESTART_US, node.start)

    def log(self, node: SimulatedNode, event: str, fields: dict[str, object]) -> None:
        self._last.append((self.scheduler.now_us, node.name, event, fields))
        for oracle in self.oracles:
            oracle.logged(node, event, fields)

    def note(self, who: str, what: str) -> None:
        self._last.append((self.scheduler.now_us, who, what, ""))

    def _describe(self, now_us: int, who: str, what: str, detail: object) -> str:
        if isinstance(detail, tuple):
            to, message = detail
            receiver = "all" if to == ALL else f"n{to}"
            detail = f"to {receiver}: {describe_message(self.decoded(message))}"
        elif isinstance(detail, dict):
            detail = " ".join(f"{name}={value}" for name, value in detail.items())
        return f"{now_us / 1e6:10.4f} s  {who:5} {what} {detail}"

    # --- clients --------------------------------------------------------------------------------

    def submitted(self, client: SimulatedClient, envelope: Envelope) -> None:
        self._last.append(
            (self.scheduler.now_us, client.party.name, "submits", envelope.transaction.hex()[:12])
        )
        for oracle in self.oracles:
            oracle.submitted(client, envelope)

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        self._acknowledged += 1
        self._acknowledged_height = max(self._acknowledged_height, receipt.height)
        for oracle in self.oracles:
            oracle.acknowledged(client, pending, receipt)

    def misled(self, client: SimulatedClient, node: SimulatedNode, why: str) -> None:
        self.lies_refused += 1
        for oracle in self.oracles:
            oracle.misled(client, node, why)

    def reply(self, session: Session, message: bytes) -> None:
        if session.node.behaviour is not None:
            changed = session.node.behaviour.reply(message)
            if changed is None:
                return
            message = changed
        delay = 50 + self.scheduler.random.randrange(CLIENT_DELAY_US)
        self.scheduler.after(delay, session.client.answered, session, message)

    def some_correct_node(self, detail: int) -> SimulatedNode | None:
        """A correct process that runs, for a client to look at."""
        alive = [node for node in self.nodes if node.alive and not node.faulty]
        return alive[detail % len(alive)] if alive else None

    def true_wall_ms(self) -> int:
        """Unix time of a clock that is right."""
        return self.town.genesis.time_ms + 1 + self.scheduler.now_us // 1000

    def leader(self) -> int | None:
        """Validator that leads, in the eyes of the first correct process that runs."""
        node = self.some_correct_node(0)
        if node is None or node.machine is None:
            return None
        return node.machine.replica.statistics().leader

    def is_faulty(self, number: int) -> bool:
        return self.nodes[number].faulty

    def is_faulty_in(self, epoch: int, index: int) -> bool:
        """Of the validator with this index in the set of an epoch."""
        key = self.succession.set_of(epoch).keys[index]
        return self.is_faulty(self.town.number_of(key))

    # --- looking back ---------------------------------------------------------------------------

    def chain(self) -> Iterator[tuple[int, tuple[bytes, ...], ReceiptsRow]]:
        """(height, bodies, receipts and events) of the whole chain. A correct process that fetched a state
        lacks the blocks below it; together they have them all."""
        stores = [node.store for node in self.core if node.store is not None]
        top = max((node.height for node in self.core), default=0)
        with ExitStack() as stack:
            readers = [stack.enter_context(store.reader()) for store in stores]
            for height in range(1, top + 1):
                for reader in readers:
                    row, given = reader.block(height), reader.receipts(height)
                    bodies = None if row is None else reader.envelopes(height, row.block)
                    if given is not None and bodies is not None:
                        yield height, bodies, given
                        break
                else:
                    raise Violation("durability", f"nobody holds block {height} any more")

    def history(self) -> Iterator[tuple[int, bytes, EnvelopeReceipt]]:
        """(height, envelope, receipt) of the whole chain."""
        for height, bodies, given in self.chain():
            for raw, receipt in zip(bodies, given.receipts[1:], strict=True):
                yield height, raw, decode(EnvelopeReceipt, receipt)

    def _count_coverage(self) -> None:
        if not self.core:
            return
        for _, raw, receipt in self.history():
            commands = open_envelope(raw).body.commands
            if receipt.code != "OK":
                self.coverage[f"envelope {receipt.code}"] += 1
                continue
            for command, result in zip(commands, receipt.commands, strict=True):
                self.coverage[f"{command_name(command)} {result.code}"] += 1


def proofs_of(batch: WriteBatch) -> list[tuple[bytes, bytes]]:
    """(key, proof) of the proofs of misbehaviour in a batch, put together from their pieces."""
    pieces = sorted(batch.rows.get(EVIDENCE, {}).items())
    found: dict[bytes, bytes] = {}
    for row, piece in pieces:
        found[row[:-2]] = found.get(row[:-2], b"") + (piece or b"")
    return [(key, data[8:]) for key, data in found.items()]


def _where(error: Exception) -> str:
    """What an unforeseen exception is and where it comes from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} in {Path(frame.filename).name}:{frame.lineno}"


def describe_message(message: Any) -> str:
    """A message in a few words."""
    if isinstance(message, Signed):
        body: Any = decode(BODIES[message.kind], message.body)
        fields = " ".join(
            f"{name}={value.hex()[:8] if isinstance(value, bytes) else value}"
            for name in body.__struct_fields__
            if isinstance(value := getattr(body, name), int | bytes)
        )
        return f"{message.kind.name} by {message.signer}: {fields}"
    return type(message).__name__
