"""Observers in the directories of a testnet, and in what the command line makes of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from node.config import ConfigError, load_config
from tallynet.messages import NodeState, NodeStatus
from tools.connect import addresses
from tools.testnet_cli import _status_row
from tools.testnet_files import (
    OBSERVERS_MAX,
    NetworkFile,
    Plan,
    TestnetError,
    add_node,
    init,
    load_network,
)


def make(directory: Path, observers: int) -> NetworkFile:
    now = int(time.time())
    return init(
        Plan(
            directory, 4, ("127.0.0.1",), 21_000, "files", now * 1000, now // 86_400, 86_400, 4,
            observers=observers,
        )
    )  # fmt: skip


def test_each_observer_has_a_directory_that_lists_whom_it_follows(tmp_path: Path) -> None:
    network = make(tmp_path / "network", 2)
    assert [node.name for node in network.nodes if node.observer] == ["observer-1", "observer-2"]
    assert [node.port for node in network.nodes if node.observer] == [21_004, 21_005]
    for node in network.nodes:
        config = load_config(tmp_path / "network" / node.name)
        assert config.role == ("observer" if node.observer else "validator")
        others = {peer.public_key for peer in config.peers}
        validators = {n.public_key for n in network.nodes if not n.observer}
        assert node.public_key not in others
        assert validators - {node.public_key} <= others
        if not node.observer:
            assert others <= validators, "validators need not know of observers"


def test_clients_of_the_command_line_ask_observers_by_name_only(tmp_path: Path) -> None:
    network = make(tmp_path / "network", 1)
    assert len(addresses(network)) == 4
    (only,) = addresses(network, "observer-1")
    assert only.port == 21_004


def test_a_node_that_joins_is_told_to_everybody_and_an_observer_to_nobody(tmp_path: Path) -> None:
    directory = tmp_path / "network"
    make(directory, 1)
    bank = add_node(directory, "bank-5", "127.0.0.1", 21_010)
    auditor = add_node(directory, "auditor", "127.0.0.1", 21_011, observer=True)
    assert load_config(directory / "bank-5").join
    assert [node.name for node in load_network(directory).nodes[-2:]] == ["bank-5", "auditor"]
    for name in ("bank-1", "observer-1"):
        keys = [peer.public_key for peer in load_config(directory / name).peers]
        assert bank.public_key in keys
        assert auditor.public_key not in keys


@pytest.mark.parametrize("observers", [-1, OBSERVERS_MAX + 1])
def test_no_more_observers_than_a_machine_bears(tmp_path: Path, observers: int) -> None:
    with pytest.raises(TestnetError) as refused:
        make(tmp_path / "network", observers)
    assert refused.value.code == "OBSERVERS"
    assert not (tmp_path / "network").exists()


@pytest.mark.parametrize(
    "line",
    ['role = "auditor"', "[access]\nobservers = ['ab']", "[limits]\nobservers = 257"],
)
def test_what_is_no_role_key_or_number_is_refused(tmp_path: Path, line: str) -> None:
    directory = tmp_path / "network"
    make(directory, 1)
    config = directory / "observer-1" / "node.toml"
    head, _, peers = config.read_text().replace('role = "observer"\n', "").partition("[[peers]]")
    config.write_text(f"{head}{line}\n[[peers]]{peers}")
    with pytest.raises(ConfigError) as refused:
        load_config(directory / "observer-1")
    assert refused.value.code == "CONFIG_INVALID"


def test_its_row_in_the_status_says_how_far_behind_it_is(tmp_path: Path) -> None:
    network = make(tmp_path / "network", 1)
    status = NodeStatus(
        1, "observer-1", bytes(16), 0, 0, 0, 4, 7, bytes(32), bytes(32), 20_000, 0, 4,
        "fetching committed blocks from others: bank-1", NodeState.OBSERVER, "BLOCKS", ("bank-1",), 8,
        0, 5, 0,
    )  # fmt: skip
    row = _status_row(network, "observer-1", 77, status)
    assert row[:6] == ("observer-1", "77", "observer", "7", "-", "-")
    assert row[-1].startswith("fetching committed blocks from others: bank-1; 5 blocks behind")
