"""The fault schedule: what breaks when, as the plan says."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from node.state.tables import RECORDS, record_key
from tallynet.codec import decode, encode
from tallynet.records import NETWORK_ID, Kind, Network
from tools.simulator.disk import CommitFailure, Image
from tools.simulator.hoarding import Hoarding
from tools.simulator.node import SimulatedNode, Votes
from tools.simulator.options import Fault

if TYPE_CHECKING:
    from tools.simulator.run import Run

CLOCK_JUMP_MS: Final = (1_500, 60_000, 86_400_000)
"""Just inside the window in which votes are cast, a minute, a day."""
FUNNEL_US: Final = (30_000, 400_000)
"""How long one validator hears alone: about one exchange of votes."""
HEIR_US: Final = 100_000
"""Within so long all have usually come into the new set."""
IMAGE_PERIOD_US: Final = 700_000
"""How often a disk that will be rolled back is copied."""
COMMIT_FAILURES: Final = (
    CommitFailure("mdb_txn_commit: Input/output error"),
    CommitFailure("mdb_txn_commit: No space left on device"),
    CommitFailure("mdb_txn_commit: Input/output error", lands=True),
    None,
)
"""None: the database is well, but the key mark beside the key cannot be written."""
RESTARTS: Final = 1
"""How often a process is started again while its disk still fails, as its supervisor would, or after it has
stopped with other results than the others."""
RESTART_MS_MAX: Final = 3_000
"""After its first start."""


class Faults:
    """Carries out the faults of a plan; counts them by kind."""

    def __init__(self, run: Run) -> None:
        self._run: Final = run
        self.injected: Final[Counter[str]] = Counter()
        self._images: Final[dict[int, list[tuple[int, Votes, Image]]]] = {}
        """Validator -> (life it was copied in, votes until then, copy of its disk)."""
        self._heirs: Final[list[tuple[Fault, Random]]] = []
        """What waits for the next change of the validator set."""

    def schedule(self) -> None:
        for fault in self._run.plan.faults:
            self._run.scheduler.after(fault.at_ms * 1000, self._inject, fault)
        for index in self._run.plan.charged:
            self._images[index] = []
            self._run.scheduler.after(IMAGE_PERIOD_US, self._copy, index)

    def _copy(self, index: int) -> None:
        """A backup, taken while the node runs; the mark stays beside the key."""
        if not self._run.healed:
            node = self._node(index)
            self._images[index].append((node.starts, node.votes.copy(), node.disk.image()))
            self._run.scheduler.after(IMAGE_PERIOD_US, self._copy, index)

    def _node(self, index: int) -> SimulatedNode:
        return self._run.nodes[index]

    def _inject(self, fault: Fault) -> None:
        if self._run.healed:
            return
        random = Random(fault.detail)
        self.injected[fault.kind.value] += 1
        self._run.note("fault", f"{fault.kind.value} of {fault.node} for {fault.length_ms} ms")
        getattr(self, f"_{fault.kind.name.lower()}")(fault, random)

    # --- processes ------------------------------------------------------------------------------

    def _crash(self, fault: Fault, random: Random) -> None:
        del random
        self._crash_node(self._node(fault.node), fault.length_ms)

    def _crash_node(self, node: SimulatedNode, length_ms: int) -> None:
        node.crash()
        self._run.scheduler.after(length_ms * 1000, self._start, node)

    def _start(self, node: SimulatedNode) -> None:
        if not self._run.healed:
            node.start()

    def _restart(self, node: SimulatedNode) -> None:
        if not self._run.healed:
            node.crash()
            node.start()

    def _crash_leader(self, fault: Fault, random: Random) -> None:
        del random
        leader = self._run.leader()
        self._crash_node(self._node(fault.node if leader is None else leader), fault.length_ms)

    def _crash_all(self, fault: Fault, random: Random) -> None:
        for node in self._run.nodes:
            self._crash_node(node, random.randint(1, fault.length_ms))

    def _crash_heir(self, fault: Fault, random: Random) -> None:
        """At the next change of the validator set."""
        self._heirs.append((fault, random))

    def set_changed(self) -> None:
        """A first validator has made another set durable: in a moment its first leader dies, or somebody else
        in it, having come there or not."""
        keys = self._run.succession.newest.keys
        for fault, random in self._heirs:
            key = keys[0] if random.random() < 0.5 else random.choice(keys)
            heir = self._node(self._run.town.number_of(key))
            wait = random.randrange(HEIR_US)
            self._run.scheduler.after(wait, self._end_heir, heir, fault.length_ms)
        self._heirs.clear()

    def _end_heir(self, heir: SimulatedNode, length_ms: int) -> None:
        if not self._run.healed:
            self._crash_node(heir, length_ms)

    def _pause(self, fault: Fault, random: Random) -> None:
        del random
        self._node(fault.node).pause(fault.length_ms * 1000)

    # --- the network ----------------------------------------------------------------------------

    def _partition(self, fault: Fault, random: Random) -> None:
        groups: list[list[int]] = [[], [], []]
        sides = random.choice((2, 2, 3))
        for node in self._run.nodes:
            groups[random.randrange(sides)].append(node.number)
        self._run.network.part(groups)
        self._end_partition_after(fault.length_ms)

    def _one_way(self, fault: Fault, random: Random) -> None:
        count = len(self._run.nodes)
        for _ in range(random.randint(1, count)):
            pair = (random.randrange(count), random.randrange(count))
            self._run.network.cut[pair] = None
        self._end_partition_after(fault.length_ms)

    def _isolate(self, fault: Fault, random: Random) -> None:
        del random
        others = [node.number for node in self._run.nodes if node.number != fault.node]
        self._run.network.part([[fault.node], others])
        self._end_partition_after(fault.length_ms)

    def _funnel(self, fault: Fault, random: Random) -> None:
        """Votes meet at one validator for a moment, then it is cut off: it may hold a certificate
        that nobody knows of, while the others go on without it."""
        self._run.network.part([[node.number] for node in self._run.nodes])
        for node in self._run.nodes:
            self._run.network.cut.pop((node.number, fault.node), None)
        cut = self._run.network.cut
        self._run.scheduler.after(random.randrange(*FUNNEL_US), self._close_funnel, fault, cut)

    def _close_funnel(self, fault: Fault, cut: dict[tuple[int, int], None]) -> None:
        if self._run.network.cut is cut:
            self._isolate(fault, Random(fault.detail))

    def _hoard(self, fault: Fault, random: Random) -> None:
        """Until the network heals: a sequence of views takes long."""
        del fault
        if self._run.network.drops is None:
            self._run.network.drops = Hoarding(self._run, random).drops

    def _outage(self, fault: Fault, random: Random) -> None:
        del random
        self._run.network.part([[node.number] for node in self._run.nodes])
        self._end_partition_after(fault.length_ms)

    def _end_partition_after(self, length_ms: int) -> None:
        cut = self._run.network.cut
        self._run.scheduler.after(length_ms * 1000, self._end_partition, cut)

    def _end_partition(self, cut: dict[tuple[int, int], None]) -> None:
        if self._run.network.cut is cut:
            self._run.network.cut = {}

    def _reset(self, fault: Fault, random: Random) -> None:
        del fault, random
        self._run.network.reset()

    def _clog(self, fault: Fault, random: Random) -> None:
        count = len(self._run.nodes)
        for _ in range(random.randint(1, 2 * count)):
            link = (random.randrange(count), random.randrange(count))
            self._run.network.clog(*link, fault.length_ms * 1000)

    # --- disks and clocks -----------------------------------------------------------------------

    def _slow_disk(self, fault: Fault, random: Random) -> None:
        del random
        until = self._run.scheduler.now_us + fault.length_ms * 1000
        self._node(fault.node).slow_disk_until_us = until

    def _fail_commit(self, fault: Fault, random: Random) -> None:
        """The next commit raises, the process halts, at every start again; later the disk works. The mark is
        written after a start only: there the process dies first."""
        node = self._node(fault.node)
        node.disk.failure = random.choice(COMMIT_FAILURES)
        if node.disk.failure is None:
            node.mark.fails = True
            node.crash()
        for _ in range(RESTARTS):
            after_us = random.randrange(fault.length_ms * 1000)
            self._run.scheduler.after(after_us, self._start, node)
        self._run.scheduler.after(fault.length_ms * 1000, self._mend_disk, node)

    def _mend_disk(self, node: SimulatedNode) -> None:
        node.disk.failure = None
        node.mark.fails = False
        if not self._run.healed:
            node.start()

    def _clock(self, fault: Fault, random: Random) -> None:
        """The wall clock jumps, and is set right again; the monotonic one drifts by up to 1 %."""
        node = self._node(fault.node)
        node.offset_ms = random.choice((-1, 1)) * random.choice(CLOCK_JUMP_MS)
        wrong = sum(bool(node.offset_ms) or node.faulty for node in self._run.nodes)
        self._run.clocks_unreliable = self._run.clocks_unreliable or wrong > self._run.plan.f
        self._run.scheduler.after(fault.length_ms * 1000, self._set_clock, node)

    def _set_clock(self, node: SimulatedNode) -> None:
        node.offset_ms = 0

    # --- disks that lie: charged to f -----------------------------------------------------------

    def _bit_flip(self, fault: Fault, random: Random) -> None:
        """Found at the next start, or when the value is read before, for somebody who asks for all there is."""
        node = self._node(fault.node)
        self._run.note("fault", f"flipped a bit in {node.disk.flip(random)} of {node}")
        what = random.random()
        if what < 0.4:
            self._crash_node(node, fault.length_ms)
        elif what < 0.7:
            node.read_all()

    def _miscompute(self, fault: Fault, random: Random) -> None:
        """A bit flipped in memory and was written with a good checksum: the results of this process
        are no longer those of the others, from the next block on. Somebody who sees it stop starts it again."""
        node = self._node(fault.node)
        node.crash()
        node.disk.change_record(RECORDS, record_key(Kind.NETWORK, NETWORK_ID), _wrong_calendar)
        self._run.scheduler.after(fault.length_ms * 1000, self._start, node)
        for _ in range(RESTARTS):
            after_ms = fault.length_ms + random.randrange(RESTART_MS_MAX)
            self._run.scheduler.after(after_ms * 1000, self._restart, node)

    def _rollback(self, fault: Fault, random: Random) -> None:
        """An older copy of the data directory is put back; half of the time the key mark with it."""
        node = self._node(fault.node)
        images = self._images[fault.node]
        node.crash()
        life, votes, image = random.choice(images) if images else (0, Votes(), {})
        node.disk.restore(image)
        node.remembers_until(life, votes.copy(), mark_lost=random.random() < 0.5)
        self._run.scheduler.after(fault.length_ms * 1000, self._start, node)

    def _reformat(self, fault: Fault, random: Random) -> None:
        """The data directory is empty; the key and, mostly, its mark are still there."""
        node = self._node(fault.node)
        node.crash()
        node.disk.wipe()
        node.remembers_until(0, Votes(), mark_lost=random.random() < 0.3)
        self._run.scheduler.after(fault.length_ms * 1000, self._start, node)

    def _unregister(self, fault: Fault, random: Random) -> None:
        """The database was put together again from what could be read of it, or from a backup record by record:
        the chain is there, and the vote register is not (B3)."""
        del random
        node = self._node(fault.node)
        node.crash()
        node.forgets_votes()
        self._run.scheduler.after(fault.length_ms * 1000, self._start, node)


def _wrong_calendar(record: bytes) -> bytes:
    """A network record whose days are longer."""
    network = decode(Network, record)
    return encode(replace(network, day_seconds=network.day_seconds + 1))
