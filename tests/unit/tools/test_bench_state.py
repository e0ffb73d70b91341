"""The state that a benchmark starts from is one that validators could have come to."""

from __future__ import annotations

from pathlib import Path

import trio

from node.state import CommittedState, Overlay
from node.state.view import Index
from node.store import Store, open_store
from tools.audit_nodes import run_audit
from tools.bench_network import loopback_plan
from tools.bench_state import prepare_state
from tools.bench_world import LOTS_PER_VOUCHER, VOUCHERS, Site
from tools.connect import genesis_of
from tools.testnet_files import init

LOTS = VOUCHERS * LOTS_PER_VOUCHER


def prepared(directory: Path, lots: int) -> Site:
    network = init(loopback_plan(directory, 4, "prepared"))
    site = Site(directory, network, *genesis_of(directory))
    trio.run(prepare_state, site, lots)
    return site


def stores(site: Site) -> list[Store]:
    return [
        open_store(
            site.directory / node.name / "data",
            genesis=site.hash,
            node_key=bytes.fromhex(node.public_key),
            key_mark=site.directory / node.name / "node.mark",
        )
        for node in site.network.nodes
    ]


def test_every_fen_of_it_is_certified_and_audits(tmp_path: Path) -> None:
    site = prepared(tmp_path / "network", LOTS)
    assert run_audit([site.directory]) == 0


def test_all_validators_hold_it_and_may_vote(tmp_path: Path) -> None:
    site = prepared(tmp_path / "network", LOTS)
    tips = set()
    for store in stores(site):
        assert store.vote_bar == ""
        with store.reader() as reader:
            tips.add((reader.tip(), reader.base()))
            state = Overlay(CommittedState.snapshot(reader))
            assert len(state.index_scan(Index.OPEN_LOTS, b"", limit=2 * LOTS)) == LOTS
        store.close()
    ((tip, base),) = tips
    assert tip is not None
    assert base == tip.height + 1
