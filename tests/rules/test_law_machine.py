"""Whatever a town of banks, a core and suppliers does in whatever order: I1 to I16 hold after every block.

Hypothesis chooses who acts, on what, and when days pass; the acts are those of the simulator's people, some
of them wrong on purpose. A failure shrinks to a few acts.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from functools import cache
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

sys.path.insert(0, str(Path(__file__).parent))

import law_invariants as law

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
BLOCKS_PER_ROLL_MAX = 40
"""A day's work here is a few acts; more blocks would be a prologue that never ends."""


class Ledger:
    """The law on tables in memory, followed by the naive model."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.tables = MemoryReader()
        self.model = Model.of(town.genesis)
        self.height = 0
        self.time = town.genesis.time_ms // 1000
        state = CommittedState(self.tables)
        overlay = Overlay(state)
        load(overlay, town.genesis, town.hash)
        overlay.seal()
        self.tables.apply(overlay.changes())

    def view(self) -> Overlay:
        return Overlay(CommittedState(self.tables))

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
        self.tables.apply(overlay.changes())
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


@cache
def market() -> Ledger:
    """A prepared market: lines, offers, a pool, documents and three claimed vouchers."""
    ledger = Ledger(town_of(4, 4, 1_000, 86_400, False))
    for stage in opening(ledger.town):
        ledger.block(
            *(ledger.town.envelope(by, commands, ledger.time + 600) for by, commands in stage)
        )
    return ledger


class LawMachine(RuleBasedStateMachine):
    """Starts from the market; every rule ends with a block."""

    @initialize()
    def open_the_market(self) -> None:
        prepared = market()
        self.ledger = ledger = Ledger.__new__(Ledger)
        ledger.town, ledger.height, ledger.time = prepared.town, prepared.height, prepared.time
        ledger.tables, ledger.model = deepcopy(prepared.tables), deepcopy(prepared.model)
        self.records = law.records_of(ledger.tables)

    @rule(
        acts=st.lists(
            st.tuples(st.integers(0, 8), st.integers(0, 2**32 - 1)), min_size=1, max_size=4
        )
    )
    def act(self, acts: list[tuple[int, int]]) -> None:
        """Some parties act in one block, each on what it sees before it."""
        ledger, view = self.ledger, self.ledger.view()
        parties = ledger.town.clients
        found = [
            next_envelope(ledger.town, parties[who % len(parties)], detail, view, ledger.time)
            for who, detail in acts
        ]
        ledger.block(*dict.fromkeys(envelope for envelope in found if envelope is not None))

    @rule(days=st.sampled_from((1, 1, 2, 3, 8)))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            self.ledger.roll()

    @invariant()
    def the_law_holds(self) -> None:
        if not hasattr(self, "ledger"):
            return
        tables = self.ledger.tables
        state = CommittedState(tables)
        before, self.records = self.records, law.records_of(tables)
        after = self.records
        found = law.broken(
            (
                law.I1_lots_tile_the_face(after),
                law.I2_documents_are_used_up_to_their_total(after),
                law.I3_issue_lines_count_what_was_promised(after),
                law.I4_no_line_grows_beyond_what_is_granted(before, after),
                law.I5_an_encumbered_range_has_one_financing(after),
                law.I7_no_maturity_beyond_the_longest_tenor(after, LONGEST_DAYS),
                law.I8_I13_nobody_is_paid_more_than_came_in(after),
                law.I11_hops_never_shrink(before, after),
                law.totals_are_what_vouchers_owe(after),
                law.I14_indexes_rebuild(tables, state, after),
                money_differences(
                    self.ledger.model, state
                ),  # I9, I16: whoever holds and is owed what
            )
        )
        assert found == []


LawMachine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None
)
TestTheLaw = LawMachine.TestCase
