"""Every fault of a node's `node.toml` at once, each with its line and what to do.

Loading stops at the first fault. This walks the same types field by field instead, so nothing here
has to know which settings there are.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from node.config import ConfigError, NodeConfig
from node.web.address import parse_address
from tallynet.genesis import Genesis

FAULTS_MAX: Final = 100
"""Shown of one file; whoever mends those runs the check again."""
_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]?\]")
_SETTING: Final = re.compile(r"\s*([A-Za-z0-9_\-]+)\s*=")
_TOML_LINE: Final = re.compile(r"line (\d+)")


@dataclass(frozen=True, slots=True)
class ConfigFault:
    line: int
    """From 1; 0: the file as a whole."""
    field: str
    """Like `limits.observers` or `peers[2].port`."""
    message: str
    remedy: str


class Lines:
    """Where each setting stands. Good for what `node.toml` uses: tables, arrays of tables, one setting a line."""

    def __init__(self, text: str) -> None:
        self._found: Final[dict[str, int]] = {}
        place, counts = "", Counter[str]()
        for number, line in enumerate(text.splitlines(), 1):
            header = _HEADER.match(line)
            if header is not None:
                name = header[1]
                place = f"{name}[{counts[name]}]" if line.lstrip().startswith("[[") else name
                counts[name] += 1
                self._found.setdefault(name, number)
                self._found.setdefault(place, number)
                continue
            setting = _SETTING.match(line)
            if setting is not None:
                self._found.setdefault(f"{place}.{setting[1]}".lstrip("."), number)

    def of(self, field: str) -> int:
        """Line of a field, or of the nearest thing around it."""
        while field:
            if field in self._found:
                return self._found[field]
            field = re.sub(r"(\.[^.\[]+|\[\d+\]|^[^.\[]+)$", "", field)
        return 0


def config_faults(path: Path) -> list[ConfigFault]:
    """What is wrong with a configuration file, in order of line; empty when a node would start with it."""
    try:
        text = path.read_text(encoding="utf-8")
        plain = tomllib.loads(text)
    except OSError as error:
        return [ConfigFault(0, "", f"cannot be read: {error.strerror}", "Name a node's node.toml.")]
    except UnicodeDecodeError:
        return [ConfigFault(0, "", "is not UTF-8", "Save it as UTF-8 text.")]
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        return [ConfigFault(line, "", f"is no TOML: {error}", "Correct this line first.")]
    lines = Lines(text)
    faults = [
        ConfigFault(lines.of(field), field, message, remedy)
        for field, message, remedy in _faults_of(NodeConfig, plain, "")
    ]
    if not faults:
        config = msgspec.convert(plain, NodeConfig)
        faults = [
            ConfigFault(lines.of(field), field, message, remedy)
            for field, message, remedy in _contradictions(config)
        ]
    return sorted(faults, key=lambda fault: fault.line)[:FAULTS_MAX]


Found = tuple[str, str, str]
"""Field, what is wrong, what to do."""


def _faults_of(kind: type[msgspec.Struct], plain: dict[str, Any], prefix: str) -> Iterator[Found]:
    """Of one table against the type that it must have."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in plain:
        if name not in fields:
            near = get_close_matches(name, fields, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(fields)}."
            yield prefix + name, "there is no such setting", hint
    for name, field in fields.items():
        if name in plain:
            yield from _value_faults(field.type, plain[name], prefix + name)
        elif field.required:
            yield (
                prefix + name,
                "is missing",
                "Add it; docs/operate/configuration.md says what it is.",
            )


def _value_faults(kind: Any, value: Any, field: str) -> Iterator[Found]:
    struct = _struct_of(kind)
    if struct is not None and isinstance(value, dict):
        yield from _faults_of(struct, value, field + ".")
        return
    element = get_args(kind)[0] if get_origin(kind) is tuple else None
    if element is not None and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _value_faults(element, item, f"{field}[{number}]")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield field, f"{value!r}: {str(error).partition(' - at ')[0]}", "Correct the value."


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a field's type is, or may be."""
    for choice in (
        get_args(kind) if get_origin(kind) is Union or not isinstance(kind, type) else (kind,)
    ):
        if isinstance(choice, type) and issubclass(choice, msgspec.Struct):
            return choice
    return None


def _contradictions(config: NodeConfig) -> Iterator[Found]:
    """What each setting alone does not show."""
    seen: dict[str, int] = {}
    addresses: dict[tuple[str, int], int] = {}
    for number, peer in enumerate(config.peers):
        field = f"peers[{number}]"
        first = seen.setdefault(peer.public_key, number)
        if first != number:
            yield f"{field}.public_key", f"is also that of peers[{first}]", "Remove one of the two."
        taken = addresses.setdefault((peer.host, peer.port), number)
        if taken != number:
            yield (
                f"{field}.port",
                f"is also the address of peers[{taken}]",
                "Correct one of the two.",
            )
        if (peer.host, peer.port) == (config.listen_host, config.listen_port):
            yield f"{field}.port", "is this node's own address", "Correct it."
    if config.limits.pending_per_organisation > config.limits.pending_total:
        yield (
            "limits.pending_per_organisation",
            "is more than pending_total, so one organisation could fill the pool",
            "Lower it, or raise pending_total.",
        )
    if config.web is not None:
        try:
            parse_address(config.web.listen)
        except ConfigError as error:
            yield (
                "web.listen",
                error.message,
                "Name a free port of this machine, like 127.0.0.1:7132.",
            )
    if config.role == "observer" and not config.peers:
        yield "peers", "an observer follows somebody", "Add a [[peers]] entry."


def missing_addresses(config: NodeConfig, genesis: Genesis, own_key: str) -> list[str]:
    """Names of the genesis' validators that a validator has no address of."""
    listed = {peer.public_key for peer in config.peers} | {own_key}
    return [v.name for v in genesis.validators if v.public_key.hex() not in listed]
