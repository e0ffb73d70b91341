"""A network in the middle of the demo's story, for every test that looks at it: seven of nine chapters are told, so that
the voucher is cut, passed on, sold and pledged, and not yet due."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from tallynet.records import Kind
from tools import testnet_processes
from tools.connect import genesis_of
from tools.demo import invoice_files
from tools.demo_story import CHAPTERS, on_stage, read_invoices
from tools.ports import free_ports
from tools.records_by_name import AddressBook
from tools.testnet_files import NetworkFile, NodeEntry, Plan, init

CHAPTERS_TOLD = 7


@dataclass(frozen=True)
class Story:
    """What the tests ask for."""

    directory: Path
    network: NetworkFile
    voucher: bytes

    def node(self, name: str) -> NodeEntry:
        return next(node for node in self.network.nodes if node.name == name)

    def organisation(self, name: str) -> bytes:
        return AddressBook(self.directory).organisation(name)


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("story") / "network"
    now = int(time.time())
    day = (now + 8 * 3600) // 86_400
    plan = Plan(directory, 4, ("127.0.0.1",), free_ports(4), "story", now * 1000, day, 86_400, 4)
    network = init(plan)
    testnet_processes.start_all(directory)
    try:
        trio.run(_tell, directory, network)
        voucher = AddressBook(directory).record(Kind.VOUCHER, "vista-guide/v1")
        yield Story(directory, network, voucher)
    finally:
        testnet_processes.stop_all(directory)


async def _tell(directory: Path, network: NetworkFile) -> None:
    genesis = genesis_of(directory)[1]
    async with on_stage(directory, network, genesis, lambda _step: None) as stage:
        found, _ = read_invoices(invoice_files(None))
        chosen = max((f for f in found if f[1].currency == "CNY"), key=lambda f: f[1].total)
        stage.invoices, stage.currency = [chosen], "CNY"
        for _, chapter in CHAPTERS[:CHAPTERS_TOLD]:
            await chapter(stage)
