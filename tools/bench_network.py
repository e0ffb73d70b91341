"""The networks that `tally bench` measures: real processes on free ports of this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from tools import testnet_processes
from tools.bench_state import prepare_state
from tools.bench_world import Site, World
from tools.connect import genesis_of
from tools.guard import guarded
from tools.output import ERRORS
from tools.ports import free_ports
from tools.testnet_files import Plan, init

_UTC8_SECONDS: Final = 8 * 3600


def loopback_plan(directory: Path, validators: int, name: str, observers: int = 0) -> Plan:
    """A network on free ports of this machine whose nodes take in what one client can send."""
    now = time.time()
    return Plan(
        directory=directory,
        validators=validators,
        hosts=("127.0.0.1",),
        base_port=free_ports(validators + observers),
        name=name,
        time_ms=int(now * 1000),
        business_date=int(now + _UTC8_SECONDS) // 86_400,
        day_seconds=86_400,
        window=4,
        pending_per_organisation=20_000,
        observers=observers,
    )


@asynccontextmanager
async def network(
    *, validators: int = 4, lots: int = 0, observers: int = 0
) -> AsyncIterator[World]:
    """A fresh network with so many live lots, or a few uncut vouchers, whose validators run. It is gone when
    the context ends. Observers have their directories; start them when you want them."""
    with tempfile.TemporaryDirectory(prefix="tally-bench-") as scratch:
        directory = Path(scratch) / "network"
        file = init(loopback_plan(directory, validators, "bench", observers))
        site = Site(directory, file, *genesis_of(directory))
        if lots:
            ERRORS.print(f"preparing {lots:,} lots")
        world = await prepare_state(site, lots)
        with _running(site):
            yield world


@contextmanager
def _running(site: Site) -> Iterator[None]:
    directory = site.directory
    with guarded(directory):
        try:
            # Together, or the first ones complain of the leader.
            started = {
                node.name: testnet_processes.start(directory, node.name)
                for node in site.network.nodes
                if not node.observer
            }
            for name, process in started.items():
                testnet_processes.wait_until_listening(directory / name, process, 0)
            yield
        finally:
            testnet_processes.stop_all(directory)
