"""The directory of a light node: `light.toml`, strict; docs/operate/light-node.md explains every field.

light.toml      this file
genesis.json    copy of the network's
token           what programs of this machine show to be answered; readable by its owner alone
copy.sqlite     the copy (`node.light.copy`)
commands.sqlite what must not be forgotten: commands, uploads, places of webhooks
trust/          what the client has seen of the network
"""

from __future__ import annotations

import os
import secrets
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from node.config import ConfigError, PeerAddress, Web
from tallynet.client import NodeAddress
from tallynet.errors import TallynetError

__all__ = [
    "COPY_FILE", "HTTP_PORT", "LIGHT_FILE", "SENT_FILE", "TOKEN_FILE", "TRUST_DIRECTORY", "LightConfig", "TokenError", "Webhook",
    "load_light", "make_token", "read_token",
]  # fmt: skip

LIGHT_FILE: Final = "light.toml"
TOKEN_FILE: Final = "token"
COPY_FILE: Final = "copy.sqlite"
SENT_FILE: Final = "commands.sqlite"
TRUST_DIRECTORY: Final = "trust"
HTTP_PORT: Final = 7480
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
TOKEN_BYTES: Final = 32
TOKEN_CHARACTERS_MAX: Final = 256
_EXPOSED: Final = stat.S_IRWXG | stat.S_IRWXO


class TokenError(TallynetError):
    """The token file, or the secret of a webhook, cannot be used: TOKEN_UNUSABLE, SECRET_UNUSABLE; the text says why."""


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where events are brought to."""

    url: Annotated[str, Meta(max_length=2_000)]
    """https, or http of this machine."""
    secret_file: Annotated[str, Meta(min_length=1)]
    """With what messages are signed; may be relative to this file; readable by its owner alone."""
    events: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z_]*(\.[a-z_]+)+$")], ...],
        Meta(max_length=256),
    ] = ()
    """Types of events to bring, e.g. `lot.transfer`; none: all."""


class LightConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    """For people, e.g. in logs: the wallet's."""
    organisation: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    """Whose copy this is; hex."""
    wallet: str
    """Directory with the keys by which nodes know whom they answer; may be relative to this file."""
    nodes: Annotated[tuple[PeerAddress, ...], Meta(min_length=1, max_length=256)]
    """Of f+1 different banks at least: no one of them alone says what there is."""
    genesis_file: str = "genesis.json"
    commands: bool = False
    """Whether it signs what programs with the token ask for: then the token is worth what the wallet's keys are."""
    http_host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    """This machine only: the token goes over the line as it is."""
    http_port: Annotated[int, Meta(ge=1, le=65_535)] = HTTP_PORT
    web: Web | None = None
    """Web pages for people, behind the same token; None: none."""
    webhooks: Annotated[tuple[Webhook, ...], Meta(max_length=16)] = ()
    """Programs to which events are brought."""

    @property
    def addresses(self) -> list[NodeAddress]:
        return [
            NodeAddress(node.host, node.port, bytes.fromhex(node.public_key)) for node in self.nodes
        ]


def load_light(directory: Path) -> LightConfig:
    """Read `light.toml`.

    Raises:
        ConfigError: CONFIG_MISSING, FILE_UNUSABLE, CONFIG_SYNTAX or CONFIG_INVALID.
    """
    path = directory / LIGHT_FILE
    try:
        config = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), LightConfig)
    except FileNotFoundError:
        raise ConfigError(
            "CONFIG_MISSING", f"{path} does not exist; make it with `tally light init`"
        ) from None
    except OSError as error:
        raise ConfigError("FILE_UNUSABLE", f"{path}: {error.strerror}") from None
    except msgspec.ValidationError as error:
        raise ConfigError("CONFIG_INVALID", f"{path}: {error}") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number that is none
        raise ConfigError("CONFIG_SYNTAX", f"{path}: {error}") from None
    urls = [hook.url for hook in config.webhooks]
    for url in urls:
        if not _may_be_called(url) or urls.count(url) > 1:
            what = "https, or http of 127.0.0.1, [::1] or localhost, without a password, each once"
            raise ConfigError("CONFIG_INVALID", f"{path}: webhook {url!r}: {what}")
    return config


def _may_be_called(url: str) -> bool:
    """What is signed is readable on the line, so it stays on this machine or is encrypted."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises
    except ValueError:
        return False
    if parts.username is not None or parts.fragment or not url.isascii():
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


def make_token(directory: Path) -> None:
    """Write a new token that nobody else can read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(directory / TOKEN_FILE, flags, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(TOKEN_BYTES) + "\n")


def read_token(directory: Path) -> str:
    """The token. Raises TokenError when it is missing, empty, or others may read it."""
    path = directory / TOKEN_FILE
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(TOKEN_CHARACTERS_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError("TOKEN_UNUSABLE", f"{path}: {error}") from None
    if mode & _EXPOSED:
        raise TokenError("TOKEN_UNUSABLE", f"{path}: others may read it; chmod 600 {path}")
    if len(token) < TOKEN_BYTES:
        raise TokenError("TOKEN_UNUSABLE", f"{path}: shorter than {TOKEN_BYTES} characters")
    return token
