"""The thin client library: `Client` for asyncio and trio programs, `BlockingClient` for scripts.

    from tallynet.client import Client, NodeAddress, build_envelope

    async with Client.connect([NodeAddress("10.0.0.1", 7000)], genesis, key) as client:
        envelope = build_envelope(client.trust.genesis_hash, organisation, Mode.ATOMIC, [command],
                                  valid_until, [(key_id(public_key), Role.MAKER, private_key)])
        receipt = await client.submit(envelope)
        voucher = await client.read_proven(Kind.VOUCHER, receipt.receipt.commands[0].created[0].id)

It connects to any one node and believes proofs, not servers: the genesis file names the validators,
their certificates prove block headers, headers prove receipts and records. A node that shows
something that does not hold is dropped for the next one. With `store=TrustStore(directory)` the next run goes on
where this one stopped; `max_age` and `compare_heads` ask f+1 validators which block is the newest. Submitting is idempotent and retried over
other nodes with the same bytes; when no receipt comes, the answer is `OutcomeUnknown`, never "failed".
"""

from tallynet.client.blocking import BlockingClient
from tallynet.client.client import (
    Client,
    ClientStatistics,
)
from tallynet.client.envelopes import EnvelopeError, build_envelope, key_id
from tallynet.client.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    ForkSeen,
    NotConnected,
    OutcomeUnknown,
    RequestFailed,
    StaleAnswer,
    SubmissionError,
    SubmissionRefused,
    TrustStoreError,
)
from tallynet.client.events import EventEntry
from tallynet.client.heads import HeadComparison
from tallynet.client.link import NodeAddress
from tallynet.client.penetration import ProvenPage
from tallynet.client.store import TrustStore
from tallynet.client.submissions import Outcome
from tallynet.client.trust import Block, Certified, ProvenRecord, Receipt, Trust
from tallynet.client.unproven import UnprovenDryRun, UnprovenPage, UnprovenPhase

__all__ = [
    "Block", "BlockingClient", "Certified", "Client", "ClientBusy", "ClientClosed",
    "ClientStatistics", "ConnectionLost", "EnvelopeError", "EventEntry", "ForkSeen", "HeadComparison",
    "NodeAddress", "NotConnected", "Outcome", "OutcomeUnknown", "ProvenPage", "ProvenRecord", "Receipt",
    "RequestFailed", "StaleAnswer", "SubmissionError", "SubmissionRefused", "Trust", "TrustStore",
    "TrustStoreError", "UnprovenDryRun", "UnprovenPage", "UnprovenPhase", "build_envelope", "key_id",
]  # fmt: skip
