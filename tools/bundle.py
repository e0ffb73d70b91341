"""What somebody far away needs to understand a node's trouble, in one archive without secrets.

Only what is named here goes in: settings as they were understood (no comment, no unknown field), statements of the
node about itself, counts, and the end of its log. No key, wallet, passphrase or token, no record, document or
envelope. The log is cut to a bound, addresses of clients are struck out of it, and so is whatever equals a
secret of this node, should one ever have got there.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.config import ConfigError, NodeConfig, load_config
from node.store import StoreError
from node.store.inspection import inspect
from node.validator import load_genesis
from node.web.address import parse_address
from tallynet.errors import TallynetError
from tallynet.genesis import genesis_hash
from tallynet.handshake import software_fingerprint
from tallynet.keyfile import KEY_FILE_BYTES_MAX, load_key_file
from tallynet.plain import to_plain
from tools.doctor.network import probe
from tools.doctor.report import examine
from tools.figures import machine
from tools.testnet_files import NODE_KEY_FILE
from tools.wallet import environment_passphrase

LOG_BYTES_MAX: Final = 2 * 1024 * 1024
"""The end of a node's log: some ten thousand lines, hours as a rule."""
METRICS_BYTES_MAX: Final = 256 * 1024
METRICS_SECONDS: Final = 5.0
STRUCK: Final = "[struck out]"
_ADDRESS: Final = re.compile(rb'("address"\s*:\s*)("(?:[^"\\]|\\.)*"|\[[^\]]*\])')
"""Of log lines, also behind what a supervisor puts before them: where a client's connection came from."""
_SECRET_WORDS: Final = re.compile(
    r"(?i)(passphrase|password|secret|token|private[ _]key)([\"']?\s*[:=]\s*)"
    r"""("(?:[^"\\]|\\.)*"|'[^'\n]*'|\S+)"""
)
_SECRET_LENGTH_MIN: Final = 6
"""A shorter passphrase would strike out words that only contain it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive."""

    name: str
    content: bytes


def write_bundle(out: Path, directories: Iterable[Path], log: Path | None) -> int:
    """Write the archive, readable by its owner only; returns its size in bytes. `log` is read instead of the node's
    own `node.log`.

    Raises:
        OSError: FileExistsError and others; a file that could not be completed is removed.
    """
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as archive,
        ):
            for part in parts(directories, log):
                facts = tarfile.TarInfo(f"bundle/{part.name}")
                facts.size, facts.mode, facts.mtime = len(part.content), 0o600, int(time.time())
                archive.addfile(facts, io.BytesIO(part.content))
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return out.stat().st_size


def parts(directories: Iterable[Path], log: Path | None) -> Iterator[Part]:
    """All files, of the machine and of each node."""
    yield Part("machine.json", _json(_machine()))
    for directory in directories:
        secrets = secrets_of(directory)
        for part in _node_parts(directory, log or directory / "node.log"):
            text = struck(part.content.decode(errors="replace"), secrets)
            yield Part(f"{directory.resolve().name}/{part.name}", text.encode())


def _machine() -> dict[str, Any]:
    packages = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "software": software_fingerprint(),
        "packages": dict(sorted(packages.items())),
    }


def _node_parts(directory: Path, log: Path) -> Iterator[Part]:
    yield Part("doctor.json", _json([msgspec.to_builtins(f) for f in examine(directory)]))
    yield Part("node.log", log_end(log))
    try:
        config = load_config(directory)
    except ConfigError as error:
        yield Part("config.json", _json({"code": error.code}))  # the text may quote the file
        return
    yield Part("config.json", _json(msgspec.to_builtins(config)))
    yield Part("store.json", _json(_store(directory, config)))
    yield Part("status.json", _json(trio.run(_status, directory, config)))
    if config.web is not None:
        yield Part("metrics.txt", _metrics(config.web.listen))


def _store(directory: Path, config: NodeConfig) -> Any:
    try:
        return msgspec.to_builtins(inspect(directory / config.data_directory))
    except StoreError as error:
        return {"code": error.code, "message": error.message}


async def _status(directory: Path, config: NodeConfig) -> Any:
    """The node's own words; or why there are none."""
    try:
        genesis = load_genesis(directory / config.genesis_file)
        key = load_key_file(directory / config.key_file, environment_passphrase())
    except TallynetError as error:
        return {"code": error.code}
    shown = await probe(
        config.listen_host,
        config.listen_port,
        key.public_key().public_bytes_raw(),
        genesis_hash(genesis),
    )
    if shown.status is None:
        return {"trouble": shown.trouble}
    return to_plain(shown.status)


def _metrics(listen: str) -> bytes:
    try:
        address = parse_address(listen)
        connection = HTTPConnection(address.host, address.port, timeout=METRICS_SECONDS)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read(METRICS_BYTES_MAX)
        finally:
            connection.close()
    except (ConfigError, HTTPException, OSError) as error:
        return f"not to be had: {error}\n".encode()


def log_end(path: Path) -> bytes:
    """The last whole lines of a log, without where clients came from."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES_MAX))
            data = file.read(LOG_BYTES_MAX)
    except OSError as error:
        return f"no log at hand: {error.strerror}; name one with --log\n".encode()
    if size > LOG_BYTES_MAX:
        data = data.partition(b"\n")[2]
    return _ADDRESS.sub(rb'\1"%s"' % STRUCK.encode(), data)


# --- secrets ----------------------------------------------------------------------------------------


def secrets_of(directory: Path) -> list[str]:
    """What must not be in the archive, in each form in which it could have got somewhere: the lines of the node's
    key file, its private key, the passphrase."""
    found = [os.environ.get("TALLY_PASSPHRASE", "")]
    try:
        key_file = directory / _key_file(directory)
        lines = key_file.read_bytes()[:KEY_FILE_BYTES_MAX].decode("ascii", "replace").splitlines()
        found += [line for line in lines if not line.startswith("-----")]
        found += _forms(load_key_file(key_file, environment_passphrase()))
    except (TallynetError, OSError):
        pass  # what cannot be read here did not get anywhere from here
    found = [text for text in found if len(text) >= _SECRET_LENGTH_MIN]
    return found + [
        json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (True, False) for text in found
    ]


def _key_file(directory: Path) -> str:
    """As configured; where the settings cannot be read, where it is without one."""
    try:
        return load_config(directory).key_file
    except ConfigError:
        return NODE_KEY_FILE


def _forms(key: Ed25519PrivateKey) -> list[str]:
    return [key.private_bytes_raw().hex()]


def struck(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, and without what calls itself one."""
    for secret in secrets:
        text = text.replace(secret, STRUCK)
    return _SECRET_WORDS.sub(rf"\1\2{STRUCK}", text)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


__all__ = ["LOG_BYTES_MAX", "write_bundle"]
