"""From what a person writes to a record id, and back: the address book of a network directory.

Ids follow from kind, organisation and label (voucher law §5), so a name is enough and nothing has to
be looked up on the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tallynet.hashing import record_id
from tallynet.records import Kind, LineKind, PoolKind
from tools.arguments import UsageError, parse_hex_id
from tools.wallet import WALLETS, Wallet, load_wallet, load_wallets

LABEL_BYTES_MAX: Final = 32


def label_bytes(text: str) -> bytes:
    """A label as the commands carry it. Raises UsageError when empty or longer than 32 bytes."""
    label = text.encode()
    if not 1 <= len(label) <= LABEL_BYTES_MAX:
        raise UsageError("USAGE", f"label {text!r} must be 1 to {LABEL_BYTES_MAX} bytes")
    return label


def line_id(kind: LineKind, grantor: bytes, obligor: bytes, currency: str) -> bytes:
    """Id of the one line of this kind between two parties in a currency (voucher law §6)."""
    from node.ledger.lines import line_id as id_of_line

    return id_of_line(kind, grantor, obligor, currency)


class AddressBook:
    """Resolves names against the wallets of one network directory."""

    def __init__(self, network: Path) -> None:
        self.network: Final = network

    def wallet(self, name: str) -> Wallet:
        return load_wallet(self.network, name)

    def organisation(self, text: str) -> bytes:
        """A wallet's name or a hexadecimal id."""
        return parse_hex_id(text) or self.wallet(text).id

    def record(self, kind: Kind, text: str) -> bytes:
        """`OWNER/LABEL` or a hexadecimal id."""
        hexadecimal = parse_hex_id(text)
        if hexadecimal is not None:
            return hexadecimal
        owner, slash, label = text.partition("/")
        if not slash:
            raise UsageError(
                "USAGE",
                f"{text!r} names no {kind.name.lower()}; write OWNER/LABEL or 32 hexadecimal digits",
            )
        if kind is Kind.DOCUMENT:
            return self._document(owner, label)
        return record_id(kind, self.organisation(owner), label_bytes(label))

    def _document(self, owner: str, label: str) -> bytes:
        """A document's id follows from the invoice, not from its label: the wallet keeps it."""
        path = self.network / WALLETS / owner / "documents" / label / "secret.json"
        try:
            return bytes.fromhex(json.loads(path.read_bytes())["document"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                "USAGE", f"wallet {owner!r} keeps no document {label!r}; give its id"
            ) from None

    def line(self, text: str) -> bytes:
        """`KIND:GRANTOR:OBLIGOR[:CUR]` or a hexadecimal id."""
        hexadecimal = parse_hex_id(text)
        if hexadecimal is not None:
            return hexadecimal
        parts = text.split(":")
        if (
            len(parts) not in (3, 4)
            or parts[0].upper().replace("-", "_") not in LineKind.__members__
        ):
            raise UsageError(
                "USAGE",
                f"{text!r} names no line; write KIND:GRANTOR:OBLIGOR, e.g. issue:bank-1:harbour-tours",
            )
        kind = LineKind[parts[0].upper().replace("-", "_")]
        currency = parts[3] if len(parts) == 4 else "CNY"
        return line_id(kind, self.organisation(parts[1]), self.organisation(parts[2]), currency)

    def pool(self, text: str) -> bytes:
        """`KIND:FUNDER:AGENT[:CUR]` or a hexadecimal id."""
        from node.ledger.pools import pool_id

        hexadecimal = parse_hex_id(text)
        if hexadecimal is not None:
            return hexadecimal
        kind, *parts = text.split(":")
        name = kind.upper().replace("-", "_")
        if len(parts) not in (2, 3) or name not in PoolKind.__members__:
            raise UsageError(
                "USAGE",
                f"{text!r} names no pool; write KIND:FUNDER:AGENT, e.g. early-pay:harbour-tours:bank-1",
            )
        currency = parts[2] if len(parts) == 3 else "CNY"
        funder, agent = self.organisation(parts[0]), self.organisation(parts[1])
        return pool_id(funder, agent, PoolKind[name], currency)

    def names(self) -> dict[bytes, str]:
        """Organisation id -> wallet name, for output."""
        return {wallet.id: wallet.name for wallet in load_wallets(self.network)}
