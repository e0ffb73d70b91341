"""The archive for whoever helps: what is in it, and above all what is not."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config import load_config
from tallynet.keyfile import load_key_file
from tools import bundle
from tools.bundle import LOG_BYTES_MAX, STRUCK, write_bundle
from tools.cli import main
from tools.ports import free_ports
from tools.testnet_files import Plan, init

PASSPHRASE = 'seven "barrels" of tär'
"""Stands in JSON in another form than in the environment."""
CLIENT = "203.0.113.77"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys under a passphrase, comments with a password, a log that says too much."""
    monkeypatch.setenv("TALLY_PASSPHRASE", PASSPHRASE)
    plan = Plan(
        tmp_path / "network", 1, ("127.0.0.1",), free_ports(1), "bundle", 1_700_000_000_000,
        19_700, 86_400, 4,
    )  # fmt: skip
    init(plan)
    node = plan.directory / "bank-1"
    config = node / "node.toml"
    config.write_text("# password = 'in-a-comment'\n" + config.read_text())
    key = load_key_file(node / "node.key", PASSPHRASE.encode())
    lines = [
        json.dumps({"event": "connection_refused", "address": CLIENT, "reason": "BUSY"}),
        json.dumps({"event": "careless", "text": f"key {key.private_bytes_raw().hex()}"}),
        json.dumps({"event": "careless", "text": (node / "node.key").read_text()}),
        json.dumps({"event": "careless", "text": f"opened with {PASSPHRASE}"}),
        json.dumps({"event": "careless", "text": f"opened with {PASSPHRASE}"}, ensure_ascii=False),
        json.dumps({"event": "careless", "token": "two c2VjcmV0"}),
        "careless: token=c2VjcmV0",
        "Mar 15 09:00:00 host python[7]: "
        + json.dumps({"event": "connection_fault", "address": CLIENT, "reason": "TOO_SLOW"}),
        json.dumps({"event": "connection_fault", "address": [CLIENT, 4711], "reason": "TOO_SLOW"}),
        json.dumps({"event": "node stopped"}),
    ]
    (node / "node.log").write_text("\n".join(lines) + "\n")
    return plan.directory


def files(archive: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            assert member.isfile()
            content = opened.extractfile(member)
            assert content is not None
            yield member.name, content.read().decode()


@pytest.fixture
def packed(network: Path, tmp_path: Path) -> dict[str, str]:
    assert (
        main(["debug", "bundle", "--network", str(network), "--out", str(tmp_path / "b.tgz")]) == 0
    )
    return dict(files(tmp_path / "b.tgz"))


def test_it_holds_what_is_promised(packed: dict[str, str]) -> None:
    names = {name.removeprefix("bundle/") for name in packed}
    node = ("config.json", "doctor.json", "metrics.txt", "node.log", "status.json", "store.json")
    assert names == {"machine.json", *(f"bank-1/{name}" for name in node)}
    assert json.loads(packed["bundle/bank-1/config.json"])["name"] == "bank-1"
    assert "cbor2" in packed["bundle/machine.json"]
    assert '"node stopped"' in packed["bundle/bank-1/node.log"]


def test_no_secret_is_in_it(packed: dict[str, str], network: Path) -> None:
    everything = "".join(packed.values())
    key = load_key_file(network / "bank-1" / "node.key", PASSPHRASE.encode())
    secrets = [key.private_bytes_raw().hex(), "barrels", "in-a-comment", CLIENT, "c2VjcmV0"]
    for path in [*network.rglob("*.key"), *network.rglob("wallet.json")]:
        secrets += [line for line in path.read_text().splitlines() if len(line) > 20]
    assert len(secrets) > 10
    marks = ("-----BEGIN", "-----END")
    assert [s for s in secrets if s in everything and not s.startswith(marks)] == []
    assert STRUCK in packed["bundle/bank-1/node.log"]


def test_settings_that_cannot_be_read_are_not_quoted(network: Path, tmp_path: Path) -> None:
    config = network / "bank-1" / "node.toml"
    config.write_text('name = "x"\nsecret = "my own"\n')
    write_bundle(tmp_path / "b.tgz", [network / "bank-1"], None)
    everything = "".join(content for _, content in files(tmp_path / "b.tgz"))
    assert "my own" not in everything
    key = load_key_file(network / "bank-1" / "node.key", PASSPHRASE.encode())
    assert key.private_bytes_raw().hex() not in everything, "the log is struck all the same"


def test_the_log_is_cut_at_its_beginning(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = network / "bank-1" / "node.log"
    log.write_text("".join(f"line {number}\n" for number in range(400_000)))
    assert log.stat().st_size > LOG_BYTES_MAX
    end = bundle.log_end(log)
    assert len(end) <= LOG_BYTES_MAX
    assert end.endswith(b"\nline 399999\n")
    assert end.startswith(b"line ")


def test_only_its_owner_reads_it_and_nothing_is_overwritten(network: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.tgz"
    write_bundle(out, [network / "bank-1"], None)
    assert out.stat().st_mode & 0o777 == 0o600
    words = ["debug", "bundle", "--network", str(network), "--out", str(out)]
    assert main(words) == 5


def test_a_log_elsewhere_is_taken_where_one_is_named(network: Path, tmp_path: Path) -> None:
    other = tmp_path / "journal.txt"
    other.write_text("from the journal\n")
    assert load_config(network / "bank-1").name == "bank-1"
    write_bundle(tmp_path / "b.tgz", [network / "bank-1"], other)
    packed = dict(files(tmp_path / "b.tgz"))
    assert packed["bundle/bank-1/node.log"] == "from the journal\n"
