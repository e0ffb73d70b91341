"""How long whoever opens a page of a validator waits for it; each page again and again, one after the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Final

import httpx

from tallynet.records import Kind, Voucher
from tools.bench_world import BenchFailed, Site, World
from tools.connect import connect
from tools.output import ERRORS

ROUNDS: Final = 10
"""Every page so often; the median counts."""
FETCH_SECONDS_MAX: Final = 30.0


async def paths_of(world: World) -> dict[str, str]:
    """One page of every kind, of the records that the network was prepared with."""
    supplier, voucher = world.vouchers[0]
    async with connect(world.site.directory) as client:
        height = (await client.status()).committed
        found = await client.read(Kind.VOUCHER, voucher)
    if not isinstance(found, Voucher):
        raise BenchFailed("RECORD_NOT_FOUND", f"no voucher {voucher.hex()}")
    bank = world.site.genesis.validators[0].organisation
    return {
        "network": "/network", "validators": "/validators", "blocks": "/blocks",
        "block": f"/blocks/{height}", "voucher": f"/vouchers/{voucher.hex()}",
        "organisations": "/organisations", "holder": f"/organisations/{supplier.id.hex()}",
        "debtor": f"/organisations/{found.debtor.hex()}", "bank": f"/banks/{bank.hex()}",
    }  # fmt: skip


async def page_times(site: Site, paths: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds by page, the median of ROUNDS. Raises BenchFailed PAGE_FAILED."""
    found: dict[str, float] = {}
    base = f"http://{site.network.nodes[0].web}"
    async with httpx.AsyncClient(base_url=base, timeout=FETCH_SECONDS_MAX) as browser:
        for name, path in paths.items():
            took: list[float] = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                answer = await browser.get(path)
                took.append(1000 * (time.perf_counter() - started))
                if answer.status_code != httpx.codes.OK:
                    raise BenchFailed("PAGE_FAILED", f"{path}: {answer.status_code}")
            found[name] = statistics.median(took)
            ERRORS.print(f"{name}: {found[name]:.1f} ms, {len(answer.content):,} bytes")
    return found
