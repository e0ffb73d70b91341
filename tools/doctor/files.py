"""The doctor's look at a node's own files: genesis, key, database, mark."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.store.errors import StoreError
from node.store.inspection import Inspection, inspect
from node.store.mark import Mark, MarkFile, why_barred
from node.store.tables import ALARM_PERCENT, SCHEMA
from node.validator import load_genesis
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.keyfile import load_key_file
from tools.doctor.config_check import missing_addresses
from tools.doctor.findings import Finding, fault, fault_of, ok, warning
from tools.wallet import environment_passphrase

MAP_FULL_PERCENT: Final = 95
"""From here on a burst of large blocks can end the node."""
_REBUILD: Final = (
    "Leave it as it is: the node follows and serves. For its vote the bank needs a new key"
    " (docs/operate/validators.md)."
)


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """A node's directory, as far as it could be read."""

    directory: Path
    config: NodeConfig
    genesis: Genesis | None = None
    key: bytes | None = None
    """Public key of `key_file`."""
    mark: Mark | None = None
    """Read before the database, which is the newer one of the two then, as after a crash."""
    mark_trouble: str = ""
    store: Inspection | None = None

    @property
    def data(self) -> Path:
        return self.directory / self.config.data_directory

    @property
    def network(self) -> bytes | None:
        """Genesis hash."""
        return None if self.genesis is None else genesis_hash(self.genesis)

    @property
    def validators(self) -> tuple[str, ...]:
        """Keys of the newest validator set known here, hexadecimal."""
        if self.store is not None and self.store.validators:
            return self.store.validators
        return tuple(v.public_key.hex() for v in self.genesis.validators) if self.genesis else ()

    @property
    def name_of(self) -> dict[str, str]:
        """Names by key, of the founding validators."""
        found = self.genesis.validators if self.genesis else ()
        return {validator.public_key.hex(): validator.name for validator in found}


def read_files(directory: Path, config: NodeConfig) -> tuple[NodeFiles, list[Finding]]:
    """Read what there is, and say what is wrong with it."""
    findings: list[Finding] = []
    genesis: Genesis | None = None
    try:
        genesis = load_genesis(directory / config.genesis_file)
    except TallynetError as error:
        findings.append(fault_of("genesis", error))
    key: bytes | None = None
    try:
        private = load_key_file(directory / config.key_file, environment_passphrase())
        key = private.public_key().public_bytes_raw()
    except TallynetError as error:
        findings.append(_key_fault(error))
    mark, mark_trouble = _read_mark(directory / config.key_file, genesis)
    store: Inspection | None = None
    try:
        store = inspect(directory / config.data_directory)
    except StoreError as error:
        findings.append(fault_of("database", error))
    files = NodeFiles(directory, config, genesis, key, mark, mark_trouble, store)
    if genesis is not None:
        findings.insert(0, _genesis(files, genesis))
    if key is not None:
        findings += [_key(files, key), _addresses(files, key)]
    if not any(finding.check == "database" for finding in findings):
        findings += [*_database(files), _mark(files)]
    return files, findings


def _read_mark(key_file: Path, genesis: Genesis | None) -> tuple[Mark | None, str]:
    if genesis is None:
        return None, ""
    path = key_file.with_suffix(".mark")
    try:
        return MarkFile(path).read(genesis_hash(genesis)), ""
    except (ValueError, OSError) as error:
        return None, f"{path} cannot be read: {error}"


def _genesis(files: NodeFiles, genesis: Genesis) -> Finding:
    found = genesis_hash(genesis).hex()
    if files.store is not None and files.store.genesis not in ("", found):
        return fault(
            "genesis",
            f"the database belongs to the network {files.store.genesis[:16]}, genesis.json is {found[:16]}",
            "Put the network's own genesis.json back, or name another data_directory.",
        )
    return ok(
        "genesis", f"{genesis.name!r}, {found[:16]}, {len(genesis.validators)} founding validators"
    )


def _key_fault(error: TallynetError) -> Finding:
    if error.code == "KEY_FILE_PASSPHRASE":
        return warning(
            "key",
            error.message,
            "Set TALLY_PASSPHRASE as the node has it, to have the key compared.",
        )
    return fault_of("key", error)


def _key(files: NodeFiles, key: bytes) -> Finding:
    config, shown = files.config, key.hex()[:16]
    if files.store is not None and files.store.node_key not in ("", key.hex()):
        return fault(
            "key",
            f"the database belongs to the key {files.store.node_key[:16]}, {config.key_file} holds {shown}",
            "Put the node's own key file back; a new key needs a data directory of its own.",
        )
    validates = key.hex() in files.validators
    if config.role == "observer":
        if validates:
            return fault(
                "key",
                f"an observer was given the key of a validator, {shown}",
                "Give the observer a key of its own.",
            )
        return ok("key", f"{shown}, an observer's; mode {_mode(files)}")
    if validates:
        return ok("key", f"{shown}, in the validator set; mode {_mode(files)}")
    if config.join:
        return ok(
            "key", f"{shown}, in no validator set yet: observes until it is; mode {_mode(files)}"
        )
    return warning(
        "key",
        f"{shown} is in no validator set that is known here",
        "Right for a bank that has left. Else use the key named in the genesis, or set join = true.",
    )


def _mode(files: NodeFiles) -> str:
    facts = (files.directory / files.config.key_file).stat()
    return f"{stat.S_IMODE(facts.st_mode):04o}"


def _addresses(files: NodeFiles, key: bytes) -> Finding:
    """Whether every validator of the genesis can be dialled, while that is who validates."""
    founders = files.store is None or not files.store.validators
    votes = files.config.role == "validator" and not files.config.join
    if files.genesis is None or not founders or not votes:
        return ok("peers listed", f"{len(files.config.peers)}")
    missing = missing_addresses(files.config, files.genesis, key.hex())
    if missing:
        return fault(
            "peers listed",
            f"no address for {', '.join(missing)}",
            "Add a [[peers]] entry for each to node.toml.",
        )
    return ok("peers listed", f"{len(files.config.peers)}, every validator of the genesis")


def _database(files: NodeFiles) -> list[Finding]:
    store = files.store
    if store is None:
        return [ok("database", "there is none yet; the node makes it at its first start")]
    if store.schema != SCHEMA:
        return [
            fault(
                "database",
                f"format {store.schema}; this version reads format {SCHEMA}",
                "Run the version of Tallynet that wrote it.",
            )
        ]
    findings = [_map(files, store)]
    if store.diverged:
        findings.append(
            fault(
                "database",
                f"readable, height {store.height}; its results differed from the network's",
                "Keep the directory and the log; docs/operate/logs.md says how to go on.",
            )
        )
    else:
        findings.append(
            ok("database", f"readable, height {store.height}, blocks from {store.base} on")
        )
    if store.evidence:
        findings.append(
            warning(
                "evidence",
                f"{len(store.evidence)} proofs that validators misbehaved",
                "tally evidence list shows them; ask the bank concerned.",
            )
        )
    else:
        findings.append(ok("evidence", "none"))
    return findings


def _map(files: NodeFiles, store: Inspection) -> Finding:
    size = files.config.map_gib << 30
    percent = 100 * store.used_bytes // size
    text = f"{percent} % of map_gib = {files.config.map_gib} used ({store.used_bytes >> 20} MiB)"
    remedy = "Raise map_gib in node.toml and restart; the file grows only with what is stored."
    if percent >= MAP_FULL_PERCENT:
        return fault("map", text, remedy)
    if percent >= ALARM_PERCENT:
        return warning("map", text, remedy)
    return ok("map", text)


def _mark(files: NodeFiles) -> Finding:
    """Whether this key may vote with this database (node.store.mark)."""
    store = files.store
    if files.config.role == "observer":
        return ok("key mark", "an observer has none")
    if store is not None and store.vote_bar:
        return fault("key mark", store.vote_bar, _REBUILD)
    if files.network is None:
        return warning("key mark", "cannot be compared without the genesis", "Mend that first.")
    if files.mark_trouble:
        return fault("key mark", files.mark_trouble, _REBUILD)
    if files.mark is None and store is not None and store.boot:
        return warning(
            "key mark",
            "missing, although this database has voted",
            "Put it back beside the key: without it an older copy of the database is not noticed.",
        )
    if files.mark is None:
        return ok("key mark", "the key has not voted yet")
    if store is None:
        return fault(
            "key mark",
            "this key has voted, and the database in which it did is not here",
            "Put the database back as it was, or leave the vote to a new key of the bank's"
            " (docs/operate/validators.md).",
        )
    why = why_barred(
        files.mark,
        store=bytes.fromhex(store.store),
        boot=bytes.fromhex(store.boot),
        marked=bytes.fromhex(store.marked),
    )
    if why:
        return fault("key mark", why, _REBUILD)
    return ok("key mark", "fits the database: this key has voted with no other copy")


__all__ = ["NodeFiles", "read_files"]
