"""`tally evidence verify` and `tally forensics` on files and on the directories of stopped nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.machine import prepare_store
from node.state import CommittedState, Overlay
from node.store import open_store
from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.client import ForkSeen, Trust, TrustStore
from tallynet.codec import Wire, encode
from tallynet.evidence import VotesEvidence
from tallynet.evidence_file import EvidenceFile
from tallynet.genesis import Genesis, genesis_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.keyfile import load_key_file
from tallynet.merkle import list_root
from tallynet.messages import DOMAINS, NewView, Signed, SignedKind, ViewChange
from tallynet.validators import Succession
from tools.cli import main
from tools.output import Exit
from tools.testnet_files import load_genesis, load_network

ROOT = b"r" * 32


@dataclass
class Town:
    """A network whose nodes do not run, and the keys of all its validators."""

    directory: Path
    genesis: Genesis
    keys: list[Ed25519PrivateKey]
    names: list[str]

    def sign(self, index: int, kind: SignedKind, body: Wire) -> Signed:
        raw = encode(body)
        message = signed_bytes(DOMAINS[kind], genesis_hash(self.genesis), raw)
        return Signed(kind, raw, index, self.keys[index].sign(message))

    def header(self, height: int, parent: bytes, time_ms: int) -> bytes:
        electorate = Succession.of(self.genesis)
        return encode(
            Header(
                electorate.genesis, 1, 0, height, parent, list_root(()),
                self.genesis.time_ms + time_ms, 0, electorate.newest.hash,
            )
        )  # fmt: skip

    def certificate(
        self, header: bytes, height: int, view: int, signers: tuple[int, ...], root: bytes = ROOT
    ) -> Certificate:
        commit = Commit(0, view, height, block_hash(header), root, ROOT)
        votes = [self.sign(i, SignedKind.COMMIT, commit) for i in signers]
        return Certificate(votes[0].body, signers, tuple(v.signature for v in votes))

    def fill(
        self,
        index: int,
        *,
        time_ms: int = 1,
        view: int = 0,
        signers: tuple[int, ...] = (0, 1, 2),
        new_views: tuple[tuple[int, Signed], ...] = (),
        proofs: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """Give this node one block of its own, an archive and proofs."""
        name, key = self.names[index], self.keys[index].public_key().public_bytes_raw()
        network = genesis_hash(self.genesis)
        for _ in range(2):  # the first time writes the genesis state
            store = open_store(
                self.directory / name / "data", genesis=network, node_key=key, key_mark=None
            )
            prepare_store(store, self.genesis, network)
            store.close()
        store = open_store(
            self.directory / name / "data", genesis=network, node_key=key, key_mark=None
        )
        overlay = Overlay(CommittedState(store.live_reader()))
        root = overlay.seal()
        header = self.header(1, network, time_ms)
        batch = store.batch()
        batch.hold(1, block_hash(header), ())
        batch.deliver(
            height=1, block=block_hash(header), header=header, envelopes=(), executed={},
            certificate=self.certificate(header, 1, view, signers, root), state_root=root,
            receipts=(b"prologue",), events=(), changes=overlay.changes(),
        )  # fmt: skip
        for at, new_view in new_views:
            batch.archive(0, at, encode(new_view))
        for proof_key, proof in proofs:
            batch.evidence(proof_key, proof)
        store.commit(batch)
        store.close()

    def path(self, index: int) -> str:
        return str(self.directory / self.names[index])


@pytest.fixture
def town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Town:
    directory = tmp_path / "network"
    assert main(["testnet", "init", str(directory), "--base-port", "61000"]) == 0
    capsys.readouterr()
    names = [node.name for node in load_network(directory).nodes]
    keys = [load_key_file(directory / name / "node.key", None) for name in names]
    return Town(directory, load_genesis(directory / "genesis.json"), keys, names)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    return code, capsys.readouterr().out


def test_a_fork_of_one_view_names_who_is_in_both_certificates(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    town.fill(2, time_ms=1, signers=(0, 1, 2))
    town.fill(3, time_ms=2, signers=(0, 1, 3))
    code, out = run(capsys, "forensics", town.path(2), town.path(3), "--output", "json")
    found = json.loads(out)
    assert code == Exit.DIFFERENCE
    assert (found["fork_height"], found["complete"]) == (1, True)
    assert found["culprits"] == town.names[:2]
    assert {proof["rule"] for proof in found["proofs"]} == {"VOTES"}


def test_a_fork_across_views_needs_the_new_view_and_names_who_hid(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        town.sign(i, SignedKind.VIEW_CHANGE, ViewChange(0, 1, b"", None, ())) for i in (0, 1, 3)
    ]
    new_view = town.sign(
        1, SignedKind.NEW_VIEW, NewView(0, 1, tuple(encode(c) for c in changes), (), ())
    )
    town.fill(2, time_ms=1, view=0, signers=(0, 1, 2))
    town.fill(3, time_ms=2, view=1, signers=(0, 1, 3), new_views=((1, new_view),))
    code, out = run(capsys, "forensics", town.path(2), town.path(3))
    assert code == Exit.DIFFERENCE
    assert "two chains from height 1 on" in out
    assert f"convicted: {town.names[0]}, {town.names[1]} (2)" in out
    assert "hid in a ViewChange" in out


def test_without_the_new_view_it_says_that_more_is_needed(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    town.fill(2, time_ms=1, view=0, signers=(0, 1, 2))
    town.fill(3, time_ms=2, view=1, signers=(0, 1, 3))
    code, out = run(capsys, "forensics", town.path(2), town.path(3))
    assert code == Exit.DIFFERENCE
    assert "convicted: nobody (0); the rest needs the evidence of the other honest nodes" in out


def test_equal_chains_convict_nobody(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.fill(2)
    town.fill(3)
    code, out = run(capsys, "forensics", town.path(2), town.path(3))
    assert (code, "contradict" in out) == (Exit.OK, True)


def saved(town: Town, path: Path, **content: object) -> str:
    file = EvidenceFile(genesis=genesis_hash(town.genesis).hex(), **content)  # type: ignore[arg-type]
    path.write_bytes(msgspec.json.encode(file))
    return str(path)


def test_files_stand_for_nodes(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = genesis_hash(town.genesis)
    one, other = town.header(1, network, 1), town.header(1, network, 2)
    first = encode(town.certificate(one, 1, 0, (0, 1, 2))).hex()
    second = encode(town.certificate(other, 1, 0, (0, 1, 3))).hex()
    files = [
        saved(town, tmp_path / "a", certificates=[first]),
        saved(town, tmp_path / "b", certificates=[second]),
    ]
    code, out = run(
        capsys, "forensics", *files, "--network", str(town.directory), "--output", "json"
    )
    assert code == Exit.DIFFERENCE
    assert json.loads(out)["culprits"] == town.names[:2]


def genuine(town: Town, index: int = 1) -> bytes:
    votes = [town.sign(index, SignedKind.PREPARE, Prepare(0, 0, 5, b * 32)) for b in (b"a", b"b")]
    return encode(VotesEvidence(encode(votes[0]), encode(votes[1])))


def test_saved_proofs_are_checked_without_any_node(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(town, tmp_path / "good", proofs=[genuine(town).hex()])
    code, out = run(capsys, "evidence", "verify", file, "--network", str(town.directory))
    assert code == Exit.OK
    assert town.names[1] in out
    forged = genuine(town)[:-1] + bytes([genuine(town)[-1] ^ 1])
    bad = saved(town, tmp_path / "bad", proofs=[genuine(town).hex(), forged.hex()])
    code, out = run(capsys, "evidence", "verify", bad, "--network", str(town.directory))
    assert code == Exit.DIFFERENCE
    assert "1 proofs prove nothing" in out


def test_a_liars_archive_convicts_nobody_and_hides_nobody(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forged votes at the same place come first; the genuine proof still counts."""
    vote = town.sign(1, SignedKind.COMMIT, Commit(0, 0, 1, ROOT, ROOT, ROOT))
    forged = [Signed(vote.kind, vote.body, i, vote.signature) for i in (0, 2, 3)]
    certificate = Certificate(vote.body, (0, 2, 3), tuple(f.signature for f in forged))
    files = [
        saved(town, tmp_path / "liar", certificates=[encode(certificate).hex()], new_views=["00"]),
        saved(town, tmp_path / "honest", proofs=[genuine(town).hex()]),
    ]
    code, out = run(
        capsys, "forensics", *files, "--network", str(town.directory), "--output", "json"
    )
    found = json.loads(out)
    assert code == Exit.DIFFERENCE
    assert found["culprits"] == [town.names[1]]
    assert found["unreadable"] >= 1


def test_wrong_files_are_refused_with_what_to_do(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("hello")
    other = tmp_path / "other"
    other.write_bytes(msgspec.json.encode(EvidenceFile(genesis="00" * 32)))
    for path, code in (("text", "EVIDENCE_INVALID"), ("other", "EVIDENCE_OTHER_NETWORK")):
        words = ["evidence", "verify", str(tmp_path / path), "--network", str(town.directory)]
        assert main(words) == Exit.ENVIRONMENT
        assert code in capsys.readouterr().err
    assert main(["forensics", "--network", str(town.directory)]) == Exit.USAGE


def test_what_a_client_kept_that_saw_two_chains_convicts(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    trust, store = Trust(town.genesis), TrustStore(town.directory / "trust")
    one, other = (town.header(1, genesis_hash(town.genesis), time_ms) for time_ms in (1, 2))
    trust.certified(one, town.certificate(one, 1, 0, (0, 1, 2)))
    with pytest.raises(ForkSeen):
        trust.certified(other, town.certificate(other, 1, 0, (1, 2, 3)))
    store.save(trust)
    code, text = run(capsys, "forensics", str(store.evidence), "--network", str(town.directory))
    assert code == Exit.DIFFERENCE
    assert "two chains from height 1 on" in text
    both = ", ".join(validator.name for validator in town.genesis.validators[1:3])
    assert f"convicted: {both} (2)" in " ".join(text.split())
