"""Damage always hits something in use, and the network under test is one that the run made itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.config import load_config
from node.store import StoreError, scan_in_child
from tests.unit.store.samples import commit_blocks, open_at
from tools.chaos.damage import Damage, damage
from tools.chaos.network import ChaosError, ChaosNetwork


@pytest.mark.parametrize("kind", list(Damage))
def test_damage_is_noticed_by_the_scan_at_the_start(tmp_path: Path, kind: Damage) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 5)
    store.close()
    assert scan_in_child(tmp_path / "data").complete
    what = damage(tmp_path / "data", kind, random.Random(kind.value))
    assert kind.value in what
    with pytest.raises(StoreError, match="STORE_CORRUPT"):
        scan_in_child(tmp_path / "data")


def test_equal_seeds_damage_the_same_place(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        store = open_at(tmp_path / name)
        commit_blocks(store, 1, 2)
        store.close()
        found.append(damage(tmp_path / name / "data", Damage.BIT, random.Random(7)))
    assert found[0].split(",")[1] == found[1].split(",")[1]


def test_only_a_directory_that_does_not_exist_becomes_a_network(tmp_path: Path) -> None:
    network = ChaosNetwork.make(tmp_path / "network", 4)
    assert {node.host for node in network.file.nodes} == {"127.0.0.1"}
    with pytest.raises(ChaosError, match="DIRECTORY_EXISTS"):
        ChaosNetwork.make(tmp_path / "network", 4)


def test_rewired_nodes_dial_the_relay_and_listen_where_they_did(tmp_path: Path) -> None:
    network = ChaosNetwork.make(tmp_path / "network", 4)
    before = [load_config(network.path(name)) for name in network.names]
    network.set_up("state_sync_blocks", 300)
    ports = {pair: 30_000 + number for number, pair in enumerate(network.links())}
    network.rewire(ports)
    for i, name in enumerate(network.names):
        after = load_config(network.path(name))
        assert after.listen_port == before[i].listen_port
        assert after.limits == before[i].limits
        assert after.state_sync_blocks == 300
        keys = {peer.public_key: peer.port for peer in after.peers}
        expected = {network.file.nodes[j].public_key: ports[i, j] for j in range(4) if j != i}
        assert keys == expected


def test_a_log_line_cut_off_by_a_kill_is_left_out_and_a_traceback_is_kept(tmp_path: Path) -> None:
    network = ChaosNetwork.make(tmp_path / "network", 4)
    name = network.names[0]
    (network.path(name) / "node.log").write_text(
        '{"event": "node starting"}\n{"event": "node li\nTraceback (most recent call last):\n'
        "/build/mdb.c:6273: Assertion 'IS_LEAF(mp)' failed in mdb_cursor_next()\n"
    )
    events = [entry["event"] for entry in network.log_entries(name)]
    assert events == ["node starting", "unstructured", "lmdb assertion"]
