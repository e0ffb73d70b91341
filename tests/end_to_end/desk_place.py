"""A network of four validators, and light nodes with an account for everybody who signs by hand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.end_to_end.desk_client import Visitor
from tools import testnet_processes
from tools.connect import genesis_of
from tools.demo import invoice_files
from tools.demo_people import Opened, open_lights, stop_lights
from tools.demo_story import Stage, on_stage, read_invoices
from tools.ports import free_ports
from tools.testnet_files import NetworkFile, Plan, init

__all__ = ["MONDAY", "PASSWORD", "Place", "opened_place"]

PASSWORD = "three words together"
MONDAY = 20_780


@dataclass(frozen=True)
class Place:
    """The network, and where whose pages are."""

    directory: Path
    lights: dict[str, Opened]

    def port(self, who: str) -> int:
        return int(self.lights[who].address.rpartition(":")[2])

    def visitor(self, who: str, account: str) -> Visitor:
        return Visitor(self.port(who), account, PASSWORD)

    def agreed(self, who: str, maker: Visitor, path: str) -> None:
        """The maker proposes a draft, the checker agrees, and it is done."""
        assert maker.post(f"{path}/propose").status == 303
        assert self.visitor(who, "checker").post(f"{path}/approve").status == 303
        assert maker.until(path, "state-DONE")


@contextmanager
def opened_place(
    directory: Path,
    who: Sequence[str],
    day_seconds: int,
    tell: Callable[[Stage], Awaitable[None]],
) -> Iterator[Place]:
    """`tell`: what has happened before."""
    now = int(time.time()) * 1000
    plan = Plan(directory, 4, ("127.0.0.1",), free_ports(4), "desk", now, MONDAY, day_seconds, 4)
    network = init(plan)
    testnet_processes.start_all(directory)
    try:
        trio.run(_tell, directory, network, tell)
        opened = open_lights(directory, who, free_ports(len(who)), PASSWORD)
        yield Place(directory, {each.who: each for each in opened})
    finally:
        stop_lights(directory, who)
        testnet_processes.stop_all(directory)


async def _tell(
    directory: Path, network: NetworkFile, tell: Callable[[Stage], Awaitable[None]]
) -> None:
    async with on_stage(directory, network, genesis_of(directory)[1], lambda _step: None) as stage:
        found, _ = read_invoices(invoice_files(None))
        chosen = max((f for f in found if f[1].currency == "CNY"), key=lambda f: f[1].total)
        stage.invoices, stage.currency = [chosen], "CNY"
        await tell(stage)
