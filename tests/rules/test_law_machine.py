"""Whatever a town of banks, a core and suppliers does in whatever order: I1 to I16 hold after every block.

Hypothesis chooses who acts, on what, and when days pass; the acts are those of the simulator's people, some
of them wrong on purpose, and those of `more_acts`. A failure shrinks to a few acts.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

sys.path.insert(0, str(Path(__file__).parent))

import law_invariants as law
from more_acts import goods_opening, larger, more_of

from node.ledger.execute import execute_block, wants_block
from node.ledger.genesis_state import load
from node.state import CommittedState, MemoryReader, Overlay
from tallynet import records as r
from tallynet.blocks import Header
from tallynet.codec import decode
from tallynet.envelope import Envelope
from tallynet.receipts import Event
from tools.money_comparison import money_differences
from tools.money_model import Model, decode_receipts
from tools.simulator.opening import opening
from tools.simulator.town import Town, town_of
from tools.simulator.workload import next_envelope

EXAMPLES = 2_000
STEPS = 6
LONGEST_DAYS = 365
MORE = 9
"""The simulator's parties are 0 to 8; then come, twice as likely as one of them, the actors of `more_acts`."""
BLOCKS_PER_ROLL_MAX = 40
"""A day's work here is a few acts; more blocks would be a prologue that never ends."""


class Ledger:
    """The law on tables in memory, followed by the naive model."""

    def __init__(
        self, town: Town, tables: MemoryReader, model: Model, height: int, time: int
    ) -> None:
        self.town = town
        self.tables = tables
        self.committed = CommittedState(tables)
        self.model = model
        self.height = height
        self.time = time

    @classmethod
    def of(cls, town: Town) -> Ledger:
        """At its genesis."""
        seconds = town.genesis.time_ms // 1000
        ledger = cls(town, MemoryReader(), Model.of(town.genesis), 0, seconds)
        overlay = ledger.view()
        load(overlay, town.genesis, town.hash)
        overlay.seal()
        ledger._commit(overlay)
        return ledger

    def view(self) -> Overlay:
        return Overlay(self.committed)

    def _commit(self, overlay: Overlay) -> None:
        self.tables.apply(overlay.changes())
        overlay.commit()

    def block(self, *envelopes: Envelope) -> None:
        """One block; when it holds acts it is executed twice, with the same result (I12)."""
        self.height += 1
        self.time += 1
        header = Header(
            self.town.hash, 1, 0, self.height, bytes(32), bytes(32), self.time * 1000, 0, bytes(32)
        )
        roots = []
        for _ in range(2 if envelopes else 1):
            overlay = self.view()
            result = execute_block(overlay, self.town.hash, header, envelopes)
            roots.append((overlay.seal(), result.receipts_root))
        assert roots[0] == roots[-1], "I12"
        self._commit(overlay)
        prologue, receipts = decode_receipts([result.prologue, *result.receipts])
        events = [decode(Event, event) for event in result.events]
        self.model.block(prologue, envelopes, receipts, events)

    def roll(self) -> None:
        """One business day, and all of its work."""
        network = self.view().get(r.Kind.NETWORK, r.NETWORK_ID)
        assert isinstance(network, r.Network)
        self.time = max(self.time, network.next_roll)
        for _ in range(BLOCKS_PER_ROLL_MAX):
            if not wants_block(self.view(), self.time):
                return
            self.block()
        raise AssertionError("the day's work does not end")


@dataclass(frozen=True)
class Market:
    """What every example begins with."""

    town: Town
    tables: MemoryReader
    records: law.Records
    model: bytes
    """Pickled: to read it back takes a fourth of copying it."""
    height: int
    time: int

    def ledger(self) -> Ledger:
        """One of its own."""
        model = pickle.loads(self.model)
        return Ledger(self.town, self.tables.copy(), model, self.height, self.time)


@cache
def market() -> Market:
    """A prepared market: lines, offers, a pool, documents, three claimed vouchers, goods on credit."""
    ledger = Ledger.of(larger(town_of(4, 4, 1_000, 86_400, False)))
    for stage in (*opening(ledger.town), *goods_opening(ledger.town)):
        ledger.block(
            *(ledger.town.envelope(by, commands, ledger.time + 600) for by, commands in stage)
        )
    records = law.records_of(ledger.tables)
    check(ledger, records, records)
    return Market(
        ledger.town, ledger.tables, records, pickle.dumps(ledger.model), ledger.height, ledger.time
    )


def check(ledger: Ledger, before: law.Records, after: law.Records) -> None:
    """The state as it is in the tables, not as the ledger has it at hand."""
    state = CommittedState(ledger.tables)
    found = law.broken(
        (
            law.I1_lots_tile_the_face(after),
            law.I2_documents_are_used_up_to_their_total(after),
            law.I3_issue_lines_count_what_was_promised(after),
            law.exposure_lines_count_what_was_bought_and_lent(after),
            law.I4_no_line_grows_beyond_what_is_granted(before, after),
            law.I5_an_encumbered_range_has_one_financing(after),
            law.I7_no_maturity_beyond_the_longest_tenor(after, LONGEST_DAYS),
            law.I8_I13_nobody_is_paid_more_than_came_in(after),
            law.I11_hops_never_shrink(before, after),
            law.I15_a_sealed_line_goes_on_by_its_commitments(before, after),
            law.totals_are_what_vouchers_owe(after),
            law.holds_are_counted(after),
            law.I14_indexes_rebuild(ledger.tables, state, after),
            money_differences(ledger.model, state),  # I9, I16: whoever holds and is owed what
        )
    )
    assert found == []


class LawMachine(RuleBasedStateMachine):
    """Starts from the market; every rule ends with a block."""

    @initialize()
    def open_the_market(self) -> None:
        prepared = market()
        self.ledger, self.records = prepared.ledger(), prepared.records
        self.checked = prepared.height

    @rule(
        acts=st.lists(
            st.tuples(st.integers(0, MORE + 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4
        )
    )
    def act(self, acts: list[tuple[int, int]]) -> None:
        """Some parties act in one block, each on what it sees before it."""
        ledger, view = self.ledger, self.ledger.view()
        town, now = ledger.town, ledger.time
        found = [
            more_of(town, detail, view, self.records, now)
            if who >= MORE
            else next_envelope(town, town.clients[who], detail, view, now)
            for who, detail in acts
        ]
        ledger.block(*dict.fromkeys(envelope for envelope in found if envelope is not None))

    @rule(days=st.sampled_from((1, 1, 2, 3, 8)))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            self.ledger.roll()

    @invariant()
    def the_law_holds(self) -> None:
        if not hasattr(self, "ledger") or self.checked == self.ledger.height:
            return  # the market, which begins every example, was checked once
        before, self.records = self.records, law.records_of(self.ledger.tables)
        check(self.ledger, before, self.records)
        self.checked = self.ledger.height


LawMachine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None
)
TestTheLaw = LawMachine.TestCase
