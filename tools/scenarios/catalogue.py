"""Which scenarios there are (voucher law §18 and §19)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tools.scenarios import (
    deep_chain,
    double_financing,
    faulty_leaders,
    flow_anchors,
    holiday_week,
    hot_lot,
    invalid_mix,
    issue_storm,
    line_cut,
    liquor_retailer,
    maturity_cliff,
    new_bank,
    overdue_cascade,
    regional_day,
    spare_parts_shop,
    tourism_collapse,
)
from tools.scenarios.network_stage import Network
from tools.scenarios.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: what it is called, what it shows, how big it is."""

    name: str
    row: str
    """Of the voucher law."""
    shows: str
    run: Callable[[Stage, int], Awaitable[None]]
    """Acts on a fresh stage; the number is the size."""
    size: int
    """As the law asks for it."""
    small: int
    """For a first look, and for the tests."""
    unit: str
    """What the size counts."""
    network: Network | None = None
    """What it needs of validators; None: it can be played on the law alone, too."""


SCENARIOS: Final = (
    Scenario(
        "spare-parts-shop", "§19 A",
        "a one-person shop draws ¥1 and ¥100,000, and the backstop carries it through a default",
        spare_parts_shop.run, 1, 1, "shops",
    ),
    Scenario(
        "tourism-collapse", "§19 B",
        "bookings fall, a bank cuts its line, and the core's pool hands over to the next bank",
        tourism_collapse.run, 300, 6, "suppliers",
    ),
    Scenario(
        "liquor-retailer", "§19 C",
        "stores close, a pool runs dry, a distillery lends, goods are released, fees are waived",
        liquor_retailer.run, 1_900, 38, "stores",
    ),
    Scenario(
        "regional-day", "B1",
        "a region's day in the law's mix, every movable range where it was foretold to be",
        regional_day.run, 74_000, 300, "commands",
    ),
    Scenario(
        "national-peak", "B2",
        "a minute of the national peak hour, in the law's mix, every movable range where it was foretold to be",
        regional_day.national_peak, 1_580, 5, "commands a second",
    ),
    Scenario(
        "stress", "B3",
        "a minute of more than three times that",
        regional_day.stress, 5_000, 7, "commands a second",
    ),
    Scenario(
        "flow-anchors", "B4",
        "a day's business records by totals and roots: 10,000 records an anchor, one record of state a stream",
        flow_anchors.run, 10_000, 200, "anchors",
    ),
    Scenario(
        "hot-lot", "B5",
        "many draws of ¥1 from one lot leave as little state as one, and cost the same to the fen",
        hot_lot.run, 10_000, 100, "draws in each of three ways",
    ),
    Scenario(
        "issue-storm", "B6",
        "vouchers issued all at once are all claimed, each under its own document and one line",
        issue_storm.run, 10_000, 40, "vouchers",
    ),
    Scenario(
        "maturity-cliff", "B7",
        "vouchers that mature on one day are settled in bounded batches while transfers go on",
        maturity_cliff.run, 100_000, 20, "vouchers of six lots",
    ),
    Scenario(
        "overdue-cascade", "B8",
        "a core that does not pay: blocked, recourse, guarantee and backstop for its suppliers",
        overdue_cascade.run, 500, 6, "suppliers",
    ),
    Scenario(
        "deep-chain", "B9",
        "ten hops with splits on each: the range stays tiled, hops are counted, the eleventh is refused",
        deep_chain.run, 200, 30, "lots",
    ),
    Scenario(
        "line-cut", "B10",
        "a bank cuts a line while draws race for it: none exceeds it, none accepted is undone",
        line_cut.run, 1_000, 40, "draws",
    ),
    Scenario(
        "double-financing", "B11",
        "two vouchers on one invoice in one block: exactly one is issued",
        double_financing.run, 50, 5, "pairs",
    ),
    Scenario(
        "faulty-leaders", "B12",
        "at the peak of a day the leader is killed and the next one turns Byzantine: the day goes on",
        faulty_leaders.run, 20_000, 300, "commands", faulty_leaders.NETWORK,
    ),
    Scenario(
        "new-bank", "B13",
        "a fifth bank's node becomes a validator under load, and one of the first four leaves",
        new_bank.run, 20_000, 300, "commands", new_bank.NETWORK,
    ),
    Scenario(
        "holiday-week", "B14",
        "a week at a hundredth of the business: small draws go on, what is due waits, an alarm comes and goes",
        holiday_week.run, 2_000, 21, "vouchers due",
    ),
    Scenario(
        "invalid-mix", "B15",
        "three of ten commands are wrong: each gets its code, and nothing that they aim at changes",
        invalid_mix.run, 10_000, 250, "commands",
    ),
)  # fmt: skip
