"""Settings that a running node takes over, and those that need a new start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.config import (
    CONFIG_FILE,
    Access,
    ConfigError,
    Limits,
    NodeConfig,
    PeerAddress,
    Web,
    load_config,
)
from node.door import Answers
from node.light.config import LIGHT_FILE, load_light
from node.pool import Pool, PoolRefused
from node.reload import needs_restart

PEER = PeerAddress(public_key="ab" * 32, host="a", port=1)
CONFIG = NodeConfig(name="bank-1", listen_host="127.0.0.1", listen_port=7100, peers=(PEER,))
FIXED: dict[str, Any] = {
    "name": "bank-2", "listen_host": "::1", "listen_port": 7101, "genesis_file": "g", "key_file": "k",
    "data_directory": "d", "role": "observer", "join": True, "map_gib": 1, "state_sync_blocks": 17,
    "web": Web(listen="127.0.0.1:1"),
}  # fmt: skip
TAKEN_OVER: dict[str, Any] = {
    "log_level": "debug", "keep_blocks": 5, "access": Access(observers=("cd" * 32,)), "peers": (),
    "limits": Limits(
        pending_per_organisation=1, pending_total=2, ciphertexts_per_organisation_mib=3,
        ciphertexts_total_mib=4, observers=5, observer_bytes_per_second=16_384,
    ),
}  # fmt: skip


def changed(**values: Any) -> NodeConfig:
    return msgspec.structs.replace(CONFIG, **values)


def test_every_setting_is_one_or_the_other() -> None:
    assert {field.name for field in msgspec.structs.fields(CONFIG)} == {*FIXED, *TAKEN_OVER}


@pytest.mark.parametrize("name", FIXED)
def test_what_needs_a_new_start_is_named(name: str) -> None:
    assert needs_restart(CONFIG, changed(**{name: FIXED[name]}, **TAKEN_OVER)) == [name]


def test_whom_records_are_shown_to_needs_a_new_start() -> None:
    limits = Limits(answers=Answers.EVERYBODY)
    assert needs_restart(CONFIG, changed(limits=limits)) == ["limits.answers"]


def test_all_others_are_taken_over() -> None:
    assert needs_restart(CONFIG, changed(**TAKEN_OVER)) == []


def test_a_smaller_pool_refuses_at_once() -> None:
    pool = Pool(total_max=2, per_organisation_max=2)
    pool.require_room(b"o", 100)
    pool.set_bounds(total_max=0, per_organisation_max=2)
    with pytest.raises(PoolRefused, match="POOL_FULL"):
        pool.require_room(b"o", 100)


@pytest.mark.parametrize(
    "spoiled",
    [b'name = "\xc4\xe3"', b"listen_port = " + b"9" * 5_000, b"listen_port ="],
    ids=["another encoding", "too many digits", "no TOML"],
)
def test_a_file_that_cannot_be_read_is_a_fault_of_the_file(tmp_path: Path, spoiled: bytes) -> None:
    """Whatever is in it: a running node reads it again, and must not end for it."""
    (tmp_path / CONFIG_FILE).write_bytes(spoiled)
    (tmp_path / LIGHT_FILE).write_bytes(spoiled)
    for load in (load_config, load_light):
        with pytest.raises(ConfigError) as refused:
            load(tmp_path)
        assert refused.value.code == "CONFIG_SYNTAX"


def test_a_file_that_cannot_be_opened_is_said_so(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).mkdir()
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path)
    assert refused.value.code == "FILE_UNUSABLE"
