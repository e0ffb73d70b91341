"""What an operator sees of misbehaviour on running nodes: `tally evidence`, `tally testnet status`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.machine import prepare_store
from node.store import open_store
from tallynet.blocks import Prepare
from tallynet.codec import encode
from tallynet.evidence import VotesEvidence, culprit
from tallynet.genesis import genesis_hash
from tallynet.hashing import signed_bytes
from tallynet.keyfile import load_key_file
from tallynet.messages import DOMAINS, Signed, SignedKind
from tallynet.validators import Succession
from tools import testnet_processes
from tools.cli import main
from tools.output import Exit
from tools.ports import free_ports
from tools.testnet_files import NetworkFile, Plan, init, load_genesis


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Path, NetworkFile]]:
    """A running network in which one bank keeps a genuine proof against another."""
    directory = tmp_path / "network"
    now = int(time.time())
    day = (now + 8 * 3600) // 86_400
    plan = Plan(directory, 4, ("127.0.0.1",), free_ports(4), "evidence", now * 1000, day, 86_400, 4)
    file = init(plan)
    plant(directory, file, keeper=1, liar=2)
    testnet_processes.start_all(directory)
    try:
        yield directory, file
    finally:
        testnet_processes.stop_all(directory)


def plant(directory: Path, file: NetworkFile, *, keeper: int, liar: int) -> None:
    genesis = load_genesis(directory / "genesis.json")
    electorate = Succession.of(genesis)
    key = load_key_file(directory / file.nodes[liar].name / "node.key", None)
    votes = []
    for block in (b"a" * 32, b"b" * 32):
        body = encode(Prepare(0, 3, 9, block))
        kind = SignedKind.PREPARE
        message = signed_bytes(DOMAINS[kind], electorate.genesis, body)
        votes.append(encode(Signed(kind, body, liar, key.sign(message))))
    proof = encode(VotesEvidence(*votes))
    for _ in range(2):  # the first time writes the genesis state
        store = open_store(
            directory / file.nodes[keeper].name / "data",
            genesis=genesis_hash(genesis),
            node_key=electorate.newest.keys[keeper],
            key_mark=None,
        )
        if not prepare_store(store, genesis, electorate.genesis):
            batch = store.batch()
            batch.evidence(culprit(proof, electorate).key, proof)
            store.commit(batch)
        store.close()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().out


def test_a_kept_proof_is_listed_saved_and_verified_and_shows_in_the_status(
    network: tuple[Path, NetworkFile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, file = network
    keeper, liar = file.nodes[1].name, file.nodes[2].name
    there = ("--network", str(directory))
    code, out = run(capsys, "evidence", "list", *there, "--output", "json")
    assert code == Exit.DIFFERENCE
    found = json.loads(out)
    (proof,) = found["proofs"]
    assert (proof["node"], proof["validator"], proof["rule"]) == (keeper, liar, "VOTES")
    assert (found["diverged"], found["problems"]) == ({}, [])

    code, out = run(capsys, "evidence", "list", *there, "--node", file.nodes[0].name)
    assert (code, out.strip()) == (Exit.OK, "no proofs of misbehaviour")

    kept = str(tmp_path / "kept.evidence")
    assert run(capsys, "evidence", "save", kept, "--node", keeper, *there)[0] == Exit.OK
    code, out = run(capsys, "evidence", "verify", kept, *there)
    assert code == Exit.OK
    assert liar in out

    code, out = run(capsys, "testnet", "status", str(directory), "--output", "json")
    assert code == Exit.OK
    rows = {row["name"]: row for row in json.loads(out)}
    assert {row["waiting_code"] for row in rows.values()} == {"NOTHING_TO_DO"}
    assert {name: row["evidence"] for name, row in rows.items() if row["evidence"]} == {keeper: 1}
    assert {row["state"] for row in rows.values()} == {"NORMAL"}
