"""The file in which evidence is handed from one to another: `tally evidence save` writes it, and a client that
saw two chains; `tally forensics` reads it."""

from __future__ import annotations

import msgspec

__all__ = ["EvidenceFile", "evidence_text"]


class EvidenceFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """JSON; encoded values in hexadecimal. Nothing in it is believed without its signatures."""

    genesis: str
    """Hash of the network they are about."""
    source: str = ""
    """Who showed them."""
    proofs: list[str] = []
    """Encoded `tallynet.evidence.Evidence`."""
    new_views: list[str] = []
    """Encoded `Signed` NewViews."""
    certificates: list[str] = []
    """Commit certificates."""
    handovers: list[str] = []
    """Changes of the validator set, oldest first."""


def evidence_text(file: EvidenceFile) -> bytes:
    """As it is written."""
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
