"""Names of organisations. The network holds none (decision 0118), so each operator may keep an address book of its own:
a JSON file of id and name. Validators are named by the network itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, final

import msgspec
import structlog
from msgspec import Meta

from tallynet.records import Network, Record

__all__ = ["Names"]

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Some fifty thousand names."""
_Book = dict[
    Annotated[str, Meta(pattern="^[0-9a-f]{32}$")],
    Annotated[str, Meta(min_length=1, max_length=64)],
]


@final
class Names:
    """Read again when the file changes."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: no address book."""
        self._path: Final = path
        self._read: tuple[int, int] = (0, 0)
        """Size and time of change of the file when it was read."""
        self._book: dict[bytes, str] = {}

    def known(self, network: Record | None) -> dict[bytes, str]:
        """Organisation -> name, as of now."""
        self._refresh()
        members = network.validators if isinstance(network, Network) else ()
        return {member.organisation: member.name for member in members} | self._book

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            read = (stat.st_size, stat.st_mtime_ns)
            if read == self._read:
                return
            self._read = read
            if stat.st_size > FILE_BYTES_MAX:
                raise ValueError(f"larger than {FILE_BYTES_MAX} bytes")
            found = msgspec.json.decode(self._path.read_bytes(), type=_Book)
        except FileNotFoundError:
            self._book = {}
        except (OSError, ValueError) as error:
            # What was read before stays: a name is a help, not a fact.
            structlog.get_logger("web").warning(
                "names not read", path=str(self._path), reason=str(error)
            )
        else:
            self._book = {bytes.fromhex(id): name for id, name in found.items()}
