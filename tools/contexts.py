"""Named defaults of the command line: which network, as whom, printed how.

They stand in one file of the user, `tallynet/contexts.json` below `XDG_CONFIG_HOME` or `~/.config`. What is typed, and
the environment, come first; a context of another network than the one that was named is not used at all, because its
wallet means somebody else there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from tallynet.durable import replace_file
from tallynet.errors import TallynetError
from tools.wallet import WalletName

__all__ = ["CONTEXT_VARIABLE", "Context", "ContextError", "Contexts", "chosen", "load", "save"]

CONTEXT_VARIABLE: Final = "TALLY_CONTEXT"
"""Names the context of this shell, instead of the one in use; empty: none."""


class ContextError(TallynetError):
    """CONTEXT_MISSING: none of this name; CONTEXT_INVALID: the file cannot be read."""


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    network: str
    """Directory, absolute."""
    acting: str = msgspec.field(name="as", default="")
    """A wallet's name; empty: to be said with each act."""
    output: str = ""
    """`table` or `json`; empty: table."""


class Contexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    current: str = ""
    """In use; empty: none."""
    contexts: dict[WalletName, Context] = {}

    def named(self, name: str) -> Context:
        """Raises ContextError CONTEXT_MISSING."""
        try:
            return self.contexts[name]
        except KeyError:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise ContextError("CONTEXT_MISSING", f"no context {name!r}; known: {known}") from None


def path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "tallynet" / "contexts.json"


def load() -> Contexts:
    """What the user has named; nothing, if there is no file. Raises ContextError CONTEXT_INVALID."""
    try:
        return msgspec.json.decode(path().read_bytes(), type=Contexts)
    except FileNotFoundError:
        return Contexts()
    except msgspec.DecodeError as error:
        raise ContextError("CONTEXT_INVALID", f"{path()}: {error}") from None


def save(contexts: Contexts) -> None:
    """The file says all of this, or is as before. Raises OSError."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(file, msgspec.json.format(msgspec.json.encode(contexts), indent=1) + b"\n")


def chosen() -> tuple[str, Context] | None:
    """The context that counts in this shell, and its name. Raises ContextError."""
    named = os.environ.get(CONTEXT_VARIABLE)
    if named == "":
        return None
    contexts = load()
    name = named or contexts.current
    return (name, contexts.named(name)) if name else None
