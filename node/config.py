"""A node's configuration file: TOML, strict, every field explained in docs/operate/configuration.md.

A node directory holds `node.toml`, `node.key`, `genesis.json` and `data/`; all paths in the file are
relative to it, so that the directory can be copied to another machine.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from node.door import Answers
from tallynet.errors import TallynetError
from tallynet.messages import WINDOW_MAX

CONFIG_FILE: Final = "node.toml"

STATE_SYNC_BLOCKS: Final = 10_000
"""With so many blocks missing the state is fetched instead, and the blocks between are never held here. Full
blocks are caught up with at some 20 a second, so ten thousand take eight minutes: about as long as fetching
the state of five million entities."""


class ConfigError(TallynetError):
    """The configuration cannot be used; the text names the file and the field."""


Key = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A public key, hex."""


class PeerAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where another validator listens, or a node to follow."""

    public_key: Key
    """Addresses of nodes that do not validate, or not yet, are of use to observers only, and do no harm."""
    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65_535)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What this node grants its own clients (reliability §10)."""

    pending_per_organisation: Annotated[int, Meta(ge=1, le=20_000)] = 256
    """Envelopes of one organisation waiting for a block at this node."""
    pending_total: Annotated[int, Meta(ge=1, le=200_000)] = 20_000
    """Envelopes in the pool that own clients brought, all organisations; twice as many of others' clients."""
    answers: Answers = Answers.PARTIES
    """Who is shown records, indexes and the log: each organisation what concerns it, or everybody everything."""
    ciphertexts_per_organisation_mib: Annotated[int, Meta(ge=1, le=1_048_576)] = 1_024
    """Ciphertexts of one organisation's documents that this node keeps, MiB: some 100,000 invoices."""
    ciphertexts_total_mib: Annotated[int, Meta(ge=1, le=67_108_864)] = 65_536
    """The same of all organisations together."""
    observers: Annotated[int, Meta(ge=0, le=256)] = 8
    """That may follow this node at a time; more follow those."""
    observer_bytes_per_second: Annotated[int, Meta(ge=16_384, le=1_000_000_000)] = 5_000_000
    """Read for all observers together: two of them keep pace with full blocks at 5,000 transactions a second."""


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom this node serves."""

    observers: tuple[Key, ...] = ()
    """Public keys, hex. Only these may follow this node; none named: anybody, while there are places."""


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Pages, JSON, health and metrics over HTTP."""

    listen: str
    """`HOST:PORT`, an address of this machine."""
    names: str = "names.json"
    """The operator's own address book, which may be missing: a JSON object of organisation ids, hex, and names."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    """For people, e.g. in logs and status tables."""
    listen_host: str
    listen_port: Annotated[int, Meta(ge=1, le=65_535)]
    peers: tuple[PeerAddress, ...]
    genesis_file: str = "genesis.json"
    key_file: str = "node.key"
    data_directory: str = "data"
    role: Literal["validator", "observer"] = "validator"
    """An observer never votes. A validator observes while its key is in no validator set."""
    join: bool = False
    """The key is not in the genesis: observe until the banks have added it to the validator set."""
    map_gib: Annotated[int, Meta(ge=1, le=65_536)] = 64
    """Size of the sparse database map, GiB; the file grows only with what is stored."""
    keep_blocks: Annotated[int, Meta(ge=0, le=2**62)] = 0
    """Blocks kept below the newest one; older ones are deleted once none of their envelopes is valid any
    more. 0 keeps all."""
    state_sync_blocks: Annotated[int, Meta(ge=WINDOW_MAX, le=2**62)] = STATE_SYNC_BLOCKS
    """With more blocks missing than this, the state is fetched instead."""
    log_level: Literal["debug", "info"] = "info"
    """`debug` adds the story of every transaction and lost connections of clients. Nothing less than `info`: why a
    node stands still is said at that level."""
    limits: Limits = Limits()
    access: Access = Access()
    web: Web | None = None
    """None: nothing is served over HTTP."""


def load_config(directory: Path) -> NodeConfig:
    """Read `node.toml` of a node directory.

    Raises:
        ConfigError: CONFIG_MISSING, FILE_UNUSABLE, CONFIG_SYNTAX or CONFIG_INVALID.
    """
    path = directory / CONFIG_FILE
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), NodeConfig)
    except FileNotFoundError:
        raise ConfigError(
            "CONFIG_MISSING", f"{path} does not exist; is this a node directory?"
        ) from None
    except OSError as error:
        raise ConfigError("FILE_UNUSABLE", f"{path}: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise ConfigError("CONFIG_INVALID", f"{path}: {error}") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number that is none
        raise ConfigError("CONFIG_SYNTAX", f"{path}: {error}") from None
