"""What the client library raises. Nothing here says "failed" about a transaction that may yet happen."""

from __future__ import annotations

from typing import Final

from tallynet.blocks import Certificate
from tallynet.errors import TallynetError

__all__ = [
    "ClientBusy", "ClientClosed", "ConnectionLost", "ForkSeen", "NotConnected", "OutcomeUnknown",
    "RequestFailed", "StaleAnswer", "SubmissionError", "SubmissionRefused", "TrustStoreError",
]  # fmt: skip


class SubmissionError(TallynetError):
    """No receipt for an envelope. Abstract: either `SubmissionRefused` or `OutcomeUnknown`."""

    def __init__(self, code: str, message: str, transaction: bytes) -> None:
        super().__init__(code, message)
        self.transaction: Final = transaction
        """Transaction id; ask `Client.outcome` with it."""


class SubmissionRefused(SubmissionError):
    """f+1 validators of different organisations, so one correct one at least, answered that they do not take
    the envelope in; `code` says why (an error code of the voucher law). It is their word, not a proof: until
    `valid_until` has passed, only a receipt is final. Correct the envelope and sign it anew."""


class OutcomeUnknown(SubmissionError):
    """No receipt yet: neither done nor failed. Submit the same bytes again (they can take effect only
    once) or ask `Client.outcome(transaction)`; after `valid_until` it can no longer happen."""

    def __init__(self, transaction: bytes, why: str) -> None:
        super().__init__(
            "OUTCOME_UNKNOWN", f"{why}; ask again for {transaction.hex()}", transaction
        )


class NotConnected(TallynetError):
    """No node could be reached (NOT_CONNECTED); the text lists each with its reason."""

    def __init__(self, message: str) -> None:
        super().__init__("NOT_CONNECTED", message)


class ConnectionLost(TallynetError):
    """One connection ended or was not made (CONNECTION_LOST, or the code of the server's Goodbye).
    `Client` handles it and tries the next node; users of `Link` see it."""


class StaleAnswer(TallynetError):
    """Every node that was asked answers with a state older than one seen before (STATE_WENT_BACK); or too
    few validators say which block is the newest, although it must be known: for `max_age` (STATE_TOO_OLD),
    for a comparison that was asked for (HEADS_UNCONFIRMED), or because the genesis or the trust store is
    older than the trust period (ANCHOR_TOO_OLD). They are behind, or somebody hides the newest from us."""


class ForkSeen(TallynetError):
    """Two quorums certified what contradicts each other (FORK_SEEN): more than f validators are faulty, and
    nothing on this network can be believed until people have found out who. The client answers nothing more;
    the two certificates are the evidence, for `tally forensics`."""

    def __init__(self, height: int, first: Certificate, second: Certificate) -> None:
        super().__init__(
            "FORK_SEEN",
            f"two quorums contradict each other at block {height}: believe nothing of this network, keep the"
            " evidence, tell the banks",
        )
        self.height: Final = height
        """Where the two part, or the block above."""
        self.first: Final = first
        """Commit certificate of what was believed until now."""
        self.second: Final = second
        """And of what contradicts it."""


class TrustStoreError(TallynetError):
    """What was kept of an earlier run cannot be used: TRUST_STORE_CORRUPT, TRUST_STORE_OTHER_NETWORK,
    TRUST_STORE_UNUSABLE, or FORK_SEEN when that run saw two chains. The text names the file and what to do."""


class RequestFailed(TallynetError):
    """The node refused a request; `code` and text are its own."""


class ClientBusy(TallynetError):
    """Too many envelopes wait for receipts (CLIENT_BUSY); wait for some."""

    def __init__(self, limit: int) -> None:
        super().__init__("CLIENT_BUSY", f"{limit} envelopes wait for receipts; wait for some")


class ClientClosed(TallynetError):
    """The client was closed while this waited (CLIENT_CLOSED)."""

    def __init__(self) -> None:
        super().__init__("CLIENT_CLOSED", "the client was closed; connect again")
