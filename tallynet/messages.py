"""Every message on a connection, between validators and between clients and nodes.

Votes and other signed peer messages travel as `Signed`: kind, body bytes, signer, signature. The
signature covers the exact body bytes; every field is read from those bytes, never from an outer
copy (A2). A signed message inside another travels as a byte string.

A proposal needs no signature of its own: the leader's Prepare over the block hash, which binds
header and envelope hashes, *is* its authentication and counts as the leader's Prepare.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from tallynet.blocks import VALIDATORS_MAX, Certificate
from tallynet.ciphertexts import (
    CiphertextPart,
    CiphertextPiece,
    CiphertextState,
    FetchCiphertext,
    NoCiphertext,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.codec import Wire
from tallynet.fields import (
    Epoch,
    Hash,
    Height,
    Id,
    Milliseconds,
    Name,
    PublicKey,
    Signature,
    Small,
    Uint,
    View,
)  # fmt: skip
from tallynet.merkle import ListProof
from tallynet.penetration.questions import Question
from tallynet.signatures import (
    KIND_COMMIT,
    KIND_COMPLAINT,
    KIND_NEW_VIEW,
    KIND_PREPARE,
    KIND_STATUS,
    KIND_VIEW_CHANGE,
)  # fmt: skip
from tallynet.validators import HANDOVERS_MAX, Handover

WINDOW_MAX: Final = 16
"""Upper bound for W on the wire; the shipped value is 4 (protocol §5.2)."""
BLOCK_TRANSACTIONS_MAX: Final = 500
EnvelopeHashes = Annotated[tuple[Hash, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]


# --- hello: first messages of every connection -------------------------------------------------


class PeerRole(IntEnum):
    VALIDATOR = 1
    CLIENT = 2
    OBSERVER = 3
    """Follows the node that it dials: `ObserverRequest` one way, `ObserverReply` the other."""


class Challenge(Wire, tag="challenge"):
    """Server to dialler, first message: what the dialler must sign."""

    version: Small
    genesis: Hash
    nonce: Hash
    """Random, fresh."""
    software: Annotated[str, Meta(max_length=200)]
    """Fingerprint of the versions that execution depends on (D2)."""


class HelloBody(Wire):
    """Signed by the dialler's key with KIND_HELLO: bound to server key and nonce, so that it cannot
    be replayed or relayed (E7)."""

    role: PeerRole
    server_key: PublicKey
    server_nonce: Hash
    key: PublicKey
    software: Annotated[str, Meta(max_length=200)]


class Hello(Wire, tag="hello"):
    body: bytes
    signature: Signature


class Welcome(Wire, tag="welcome"):
    """The server accepted the hello."""

    height: Height


class Goodbye(Wire, tag="goodbye"):
    """Last message before the sender closes the connection, with the reason."""

    code: Annotated[str, Meta(max_length=32)]
    reason: Annotated[str, Meta(max_length=400)]


# --- consensus: signed bodies --------------------------------------------------------------------


class SignedKind(IntEnum):
    """Which body a `Signed` holds; maps one to one onto the KIND_ domains."""

    PREPARE = 1
    COMMIT = 2
    COMPLAINT = 3
    VIEW_CHANGE = 4
    NEW_VIEW = 5
    STATUS = 6


DOMAINS: Final[dict[SignedKind, bytes]] = {
    SignedKind.PREPARE: KIND_PREPARE,
    SignedKind.COMMIT: KIND_COMMIT,
    SignedKind.COMPLAINT: KIND_COMPLAINT,
    SignedKind.VIEW_CHANGE: KIND_VIEW_CHANGE,
    SignedKind.NEW_VIEW: KIND_NEW_VIEW,
    SignedKind.STATUS: KIND_STATUS,
}
"""Signature domain of each kind of body (C3)."""


class ComplaintReason(IntEnum):
    PROGRESS_TIMEOUT = 1
    TRANSACTION_TIMEOUT = 2
    INVALID_PROPOSAL = 3
    EQUIVOCATION = 4
    LEADER_SILENT = 5
    JOINED = 6
    """f+1 others complained."""
    SLOW_LEADER = 7
    """Most of the time with work went by waiting for its proposals."""


class Complaint(Wire):
    """I want to leave `view`; I keep voting in it (protocol §5.6)."""

    epoch: Epoch
    view: View
    reason: ComplaintReason


class PreparedEntry(Wire):
    """A block prepared above the last committed one, with its certificate of Prepares."""

    header: bytes
    certificate: Certificate


class ViewChange(Wire):
    epoch: Epoch
    to_view: View
    committed_header: bytes
    """Header of the newest committed block, empty at genesis."""
    committed: Certificate | None
    """Its commit certificate, None at genesis."""
    prepared: Annotated[tuple[PreparedEntry, ...], Meta(max_length=WINDOW_MAX)]
    """All sticky certificates held, ascending by height."""


class NewView(Wire):
    epoch: Epoch
    view: View
    view_changes: Annotated[tuple[bytes, ...], Meta(max_length=VALIDATORS_MAX)]
    """q encoded `Signed` ViewChanges of distinct validators, ascending by signer."""
    proposals: Annotated[tuple[bytes, ...], Meta(max_length=WINDOW_MAX)]
    """Encoded headers to propose again: exactly `select_new_view(view_changes)`."""
    prepares: Annotated[tuple[bytes, ...], Meta(max_length=WINDOW_MAX)]
    """The new leader's encoded `Signed` Prepare for each of them."""


class Status(Wire):
    """Where a replica stands; sent every T_STATUS and on contact."""

    epoch: Epoch
    view: View
    changing: bool
    """Between voting for a view change and entering the new view."""
    committed: Height
    time_ms: Milliseconds
    """The sender's clock."""


class Signed(Wire, tag="signed"):
    kind: SignedKind
    body: bytes
    signer: Small
    """Validator index in the epoch's set."""
    signature: Signature


# --- consensus: content, authenticated by hashes ---------------------------------------------------


class PrePrepare(Wire, tag="preprepare"):
    """Proposal: block content and the leader's Prepare for it."""

    header: bytes
    envelopes: EnvelopeHashes
    prepare: bytes
    """Encoded `Signed` Prepare by the leader of that view."""


class Bodies(Wire, tag="bodies"):
    """Gossip: encoded envelopes, each verified by everybody who receives it; also the answer to
    `FetchBodies`, where each is what its hash says."""

    bodies: Annotated[tuple[bytes, ...], Meta(max_length=1000)]


class FetchBodies(Wire, tag="fetch.bodies"):
    """Ask for envelopes missing under a block; answered by `Bodies`."""

    height: Height
    block: Hash
    """Where a peer finds them that has written the block to its store."""
    envelopes: EnvelopeHashes


class FetchProposal(Wire, tag="fetch.proposal"):
    """Ask for the content of a block known by its hash only; answered by `Proposal`."""

    height: Height
    block: Hash


class Proposal(Wire, tag="proposal"):
    header: bytes
    envelopes: EnvelopeHashes


class FetchVotes(Wire, tag="fetch.votes"):
    """Ask a peer to send again what it has for heights above `committed` in its current view."""

    epoch: Epoch
    view: View
    committed: Height


class FetchBlocks(Wire, tag="fetch.blocks"):
    """Ask for committed blocks from `first` on; answered by `Blocks`, as many as fit, or by
    `BlocksGone`."""

    first: Height


class CertifiedBlock(Wire):
    header: bytes
    envelopes: EnvelopeHashes
    certificate: Certificate
    """Commit certificate."""
    bodies: Annotated[tuple[bytes, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]
    """The encoded envelopes in block order."""


class Blocks(Wire, tag="blocks"):
    blocks: Annotated[tuple[CertifiedBlock, ...], Meta(max_length=64)]


class BlocksGone(Wire, tag="blocks.gone"):
    """The block asked for is committed here but no longer held."""

    oldest: Height
    """From here on blocks are held."""


# --- the state of a certified height, fetched by path of the state tree (decision 0040) ---------------------


Path = Annotated[bytes, Meta(max_length=64)]
"""Where a subtree stands: one byte (0 to 15) per four bits of the entities' keys. Empty: the whole tree;
64 bytes: one entity."""
STATE_PATHS_MAX: Final = 64
STATE_PART_BYTES: Final = 256 * 1024
"""A part holds so much at most, or one entity."""
STATE_ENTITIES_MAX: Final = 8_192
"""In one part: entities of 32 bytes, names and records, which none is."""


class FetchStateHead(Wire, tag="fetch.state.head"):
    """Ask which state the peer can hand out; answered by `StateHead` or `NoState`. It keeps that state
    ready for a while."""

    least: Height
    """No lower height is of use."""
    since: Epoch
    """First epoch of the newest validator set that the asker knows."""


class StateHead(Wire, tag="state.head"):
    """A block and the outline of its state, which the certificate's state root commits to."""

    header: bytes
    envelopes: EnvelopeHashes
    certificate: Certificate
    """Commit certificate."""
    entities: Uint
    """Number of entities in the state."""
    tree: Hash
    """Hash of the whole state tree."""
    handovers: Annotated[tuple[Handover, ...], Meta(max_length=HANDOVERS_MAX)]
    """The changes of the validator set that the asker does not know, oldest first. As many as fit: then
    the rest is asked for, before the certificate can be judged."""


class NoState(Wire, tag="no.state"):
    """The state asked for is not handed out here, or not any more; another peer may."""

    height: Height
    """As asked."""


class FetchState(Wire, tag="fetch.state"):
    """Ask for subtrees of the state at `height`; answered by `StatePart` with the first of them, as many
    as fit and at least one, or by `NoState`."""

    height: Height
    whole: bool
    """True: the entities of a subtree where they fit one part. False: one level only, because much of
    what lies below is known."""
    paths: Annotated[tuple[Path, ...], Meta(min_length=1, max_length=STATE_PATHS_MAX)]


class StateEntity(Wire):
    name: Annotated[bytes, Meta(min_length=17, max_length=17)]
    """Kind (1 byte) and id (16); its SHA-256 is the entity's key."""
    record: Annotated[bytes, Meta(max_length=262_144)]
    lots: Annotated[tuple[Annotated[bytes, Meta(max_length=4_096)], ...], Meta(max_length=65_535)]
    """Of a voucher: all its lots by start; otherwise empty."""


class StateNode(Wire, tag="node"):
    """A subtree of more than 16 entities, one level of it."""

    path: Path
    children: Annotated[bytes, Meta(min_length=512, max_length=512)]
    """Hashes of the sixteen subtrees below, zeros for an empty one."""


class StateBucket(Wire, tag="bucket"):
    """A subtree of at most 16 entities, by name and value hash."""

    path: Path
    names: Annotated[bytes, Meta(min_length=17, max_length=272)]
    """Joined, ascending by key."""
    values: Annotated[bytes, Meta(min_length=32, max_length=512)]
    """Value hashes in the same order, joined."""


class StateEntities(Wire, tag="entities"):
    """A whole subtree, or one entity."""

    path: Path
    entities: Annotated[tuple[StateEntity, ...], Meta(min_length=1, max_length=STATE_ENTITIES_MAX)]
    """Ascending by key."""


class StatePart(Wire, tag="state.part"):
    height: Height
    subtrees: Annotated[
        tuple[StateNode | StateBucket | StateEntities, ...],
        Meta(min_length=1, max_length=STATE_PATHS_MAX),
    ]
    """In the order in which they were asked for."""


PeerMessage = (
    Signed | PrePrepare | Bodies | FetchBodies | FetchProposal | Proposal | FetchVotes
    | FetchBlocks | Blocks | BlocksGone | FetchStateHead | StateHead | NoState | FetchState
    | StatePart | FetchCiphertext | CiphertextPiece | NoCiphertext | Goodbye
)  # fmt: skip


# --- observers: a node that follows another one -----------------------------------------------------


class Newest(Wire, tag="newest"):
    """How far the sender has come: a claim, which tells the other side what to ask for. Said by both, at once
    when there is a new block and every few seconds anyway. What makes anything true are certificates."""

    height: Height


ObserverRequest = (
    FetchBlocks | FetchBodies | FetchStateHead | FetchState | Bodies | Newest | Goodbye
)
"""`Bodies`: envelopes of the observer's clients, to be passed on to the validators."""
ObserverReply = (
    Blocks | BlocksGone | Bodies | StateHead | StatePart | NoState | Newest | Goodbye
)  # fmt: skip


EventHashes = Annotated[bytes, Meta(max_length=32 * 65_535)]
"""SHA-256 of encoded events, joined."""
LeafHashes = Annotated[bytes, Meta(max_length=32 * (BLOCK_TRANSACTIONS_MAX + 1))]
"""Leaf hashes of a receipts tree (`tallynet.merkle.leaf_hash`), joined."""
EVENT_BLOCKS_MAX: Final = 200
"""Of one page: what a node looks through for one question."""


# --- clients: requests ---------------------------------------------------------------------------


class Submit(Wire, tag="submit"):
    """Order these envelopes; idempotent. Each gets a `Refused` at the door or, once its block is
    durable here, its receipt in a `Receipts`."""

    envelopes: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=1000)]


class QueryTransaction(Wire, tag="query.transaction"):
    """Where is this transaction? Answered by `TransactionState`, or by `Receipts` when committed."""

    request: Uint
    transaction: Hash


class QueryRecord(Wire, tag="query.record"):
    """A record with proof against the newest certified state. Answered by `RecordProof`."""

    request: Uint
    kind: Small
    id: Annotated[bytes, Meta(min_length=1, max_length=40)]


class QueryIndex(Wire, tag="query.index"):
    """Ids from a derived index (unproven: verify each record). Answered by `IndexPage`."""

    request: Uint
    index: Small
    prefix: Annotated[bytes, Meta(max_length=64)]
    after: Annotated[bytes, Meta(max_length=128)]
    """Continue after this entry; empty from the start."""
    limit: Annotated[int, Meta(ge=1, le=500)]


class QueryEvents(Wire, tag="query.events"):
    """The log from a place on, whole and proven. Answered by `EventPage`, at once; with `wait` it is
    answered when there is a block to show."""

    request: Uint
    height: Height
    """First block; 0 like 1."""
    receipt: Small
    """Begin with this receipt of that block: 0 is the prologue's, then one per envelope."""
    event: Uint
    """And with this event of that receipt, from 0."""
    wait: bool


class QueryBlock(Wire, tag="query.block"):
    """Header and certificate at a height (0: the newest). Answered by `BlockPage`."""

    request: Uint
    height: Height


class QueryReceipts(Wire, tag="query.receipts"):
    """All receipts of the block at a height, so that its events can be proven complete. Answered by
    `BlockReceipts`."""

    request: Uint
    height: Height


class QueryStatus(Wire, tag="query.status"):
    """The node's own view of itself. Answered by `NodeStatus`."""

    request: Uint


class EvidenceKind(IntEnum):
    PROOFS = 1
    """Proofs of misbehaviour, encoded `tallynet.evidence.Evidence`."""
    NEW_VIEWS = 2
    """NewViews that opened a view at this node, encoded `Signed`."""
    HANDOVERS = 3
    """Changes of the validator set, encoded `tallynet.validators.Handover`; the key is the first epoch of
    the new set, eight bytes."""


class QueryEvidence(Wire, tag="query.evidence"):
    """What the node keeps about its validators. Answered by `EvidencePage`."""

    request: Uint
    kind: EvidenceKind
    after: Annotated[bytes, Meta(max_length=64)]
    """Continue after this key; empty from the start."""


class DryRun(Wire, tag="dryrun"):
    """Execute an encoded `EnvelopeBody` on the newest committed state without ordering; signatures
    are not needed, the listed signers are believed. Answered by `DryRunResult`."""

    request: Uint
    body: bytes


class QueryPenetration(Wire, tag="query.penetration"):
    """One page of an answer about who stands behind a voucher, holds it, or is hit (voucher law §13). Only
    people of an organisation may ask: the client's key is one of its keys. Answered by `Penetration`."""

    request: Uint
    question: Question
    after: Annotated[bytes, Meta(max_length=64)]
    """Cursor that the page before gave; empty from the start."""


class Ping(Wire, tag="ping"):
    request: Uint


ClientRequest = (
    Submit | QueryTransaction | QueryRecord | QueryIndex | QueryEvents | QueryBlock | QueryReceipts
    | QueryStatus | QueryEvidence | QueryPenetration | PutCiphertext | QueryCiphertext | DryRun | Ping
    | Goodbye
)  # fmt: skip


# --- clients: replies ----------------------------------------------------------------------------


class Refused(Wire, tag="refused"):
    """The node did not accept the envelope; the same bytes may be sent elsewhere or later."""

    transaction: Hash
    """SHA-256 of the envelope body, or of the whole bytes when there is no readable body."""
    code: Annotated[str, Meta(max_length=32)]
    reason: Annotated[str, Meta(max_length=400)]


class ProvenReceipt(Wire):
    receipt: bytes
    """Encoded `EnvelopeReceipt`."""
    proof: ListProof
    """Against the certificate's receipts root."""


class Receipts(Wire, tag="receipts"):
    """Certified receipts of this client's envelopes in one block."""

    header: bytes
    certificate: Certificate
    receipts: Annotated[tuple[ProvenReceipt, ...], Meta(max_length=1000)]


class TransactionPhase(IntEnum):
    UNKNOWN = 1
    PENDING = 2
    COMMITTED = 3


class TransactionState(Wire, tag="transaction"):
    request: Uint
    transaction: Hash
    phase: TransactionPhase


class RecordProof(Wire, tag="record"):
    """Value or proven absence, as of the certified height."""

    request: Uint
    header: bytes
    certificate: Certificate | None
    """None only before the first block."""
    proof: bytes
    """Encoded `tallynet.state_proof.StateProof`."""


class IndexPage(Wire, tag="index"):
    request: Uint
    entries: Annotated[tuple[bytes, ...], Meta(max_length=500)]
    more: bool


class ReceiptEvents(Wire):
    """Consecutive events of one receipt, and by their hashes those before and after them."""

    receipt: bytes
    """Encoded `EnvelopeReceipt`, or `PrologueReceipt` at index 0. It holds the SHA-256 of the SHA-256 of
    all its events in order, joined."""
    before: EventHashes
    """Of the events before these."""
    events: Annotated[tuple[bytes, ...], Meta(max_length=65_535)]
    """Encoded `Event`s; empty for one that is there and not shown to this client."""
    hidden: EventHashes
    """Of those that are not shown, in order."""
    after: EventHashes
    """Of the events after these: they come with the next page."""


class EventBlock(Wire):
    """Consecutive receipts of one block with their events. The receipts root in the certificate is over all
    receipts of the block, so nothing can be left out."""

    header: bytes
    certificate: Certificate
    before: LeafHashes
    """Leaf hashes of the receipts before these."""
    receipts: Annotated[tuple[ReceiptEvents, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX + 1)]
    """Only the last one may lack events at its end."""
    after: LeafHashes
    """Leaf hashes of the receipts after these: they come with the next page."""


class EventPage(Wire, tag="events"):
    """Consecutive blocks from the place asked about on; none when there is no newer one here. Only the
    last one may lack receipts at its end."""

    request: Uint
    blocks: Annotated[tuple[EventBlock, ...], Meta(max_length=EVENT_BLOCKS_MAX)]


class BlockPage(Wire, tag="block"):
    request: Uint
    header: bytes
    certificate: Certificate | None
    envelopes: EnvelopeHashes


class BlockReceipts(Wire, tag="block.receipts"):
    request: Uint
    header: bytes
    certificate: Certificate
    receipts: Annotated[tuple[bytes, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX + 1)]
    """All leaves of the receipts tree: the encoded `PrologueReceipt`, then one `EnvelopeReceipt` each."""


class DryRunResult(Wire, tag="dryrun.result"):
    request: Uint
    height: Height
    receipt: bytes
    """Encoded `EnvelopeReceipt`."""
    reasons: Annotated[tuple[Annotated[str, Meta(max_length=400)], ...], Meta(max_length=1000)]
    """One per command, for people; empty text for OK."""


class EvidenceEntry(Wire):
    key: Annotated[bytes, Meta(max_length=64)]
    """Ascending; the last one continues the question."""
    data: bytes
    """Of the kind asked for. Everybody checks it himself: proofs with `tallynet.evidence.culprit`, changes
    of the set with `tallynet.validators.Succession`."""


class EvidencePage(Wire, tag="evidence"):
    request: Uint
    entries: Annotated[tuple[EvidenceEntry, ...], Meta(max_length=64)]
    more: bool
    divergence: bytes
    """Encoded `tallynet.evidence.Divergence` when this node's results differ from others'; else empty."""


class ShownRecord(Wire):
    kind: Small
    id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    proof: bytes
    """Encoded `StateProof`; of a voucher with the rows of its lots."""


class ShownLot(Wire):
    voucher: Id
    record: Annotated[bytes, Meta(max_length=4_096)]
    """Its hash is in the rows of the voucher."""


class ShownEvent(Wire):
    """One event with proof, without the other events of its envelope."""

    header: bytes
    certificate: Certificate
    receipt: bytes
    """Encoded `EnvelopeReceipt`, or `PrologueReceipt` at index 0."""
    proof: ListProof
    """Of the receipt against the certificate's receipts root."""
    hashes: bytes
    """SHA-256 of every event of that envelope in order, joined; their SHA-256 is in the receipt."""
    event: bytes
    """Encoded `Event`."""


class Penetration(Wire, tag="penetration"):
    """What one page was evaluated from: everything but `listings` is proven, and what is not in it was not
    shown. `tallynet.penetration.evaluate` makes the rows of it."""

    request: Uint
    header: bytes
    certificate: Certificate
    records: Annotated[tuple[ShownRecord, ...], Meta(max_length=4_096)]
    lots: Annotated[tuple[ShownLot, ...], Meta(max_length=65_535)]
    listings: Annotated[
        tuple[
            Annotated[tuple[Annotated[bytes, Meta(max_length=64)], ...], Meta(max_length=64)], ...
        ],
        Meta(max_length=256),
    ]
    """Index entries in the order in which they were read."""
    events: Annotated[tuple[ShownEvent, ...], Meta(max_length=64)]
    older: Uint | None
    """Sequence under which to go on looking for events; None: no older ones are held."""
    gone: bool
    """Older events are in blocks that this node does not hold."""


class NodeState(IntEnum):
    NORMAL = 1
    CHANGING = 2
    """Between two views."""
    MUTE = 3
    """Follows without a vote."""
    DIVERGED = 4
    """Stopped: its results differ from others', or a quorum is on another chain."""
    RETIRED = 5
    """Belongs to no validator set any more, and waits until the others are past its last block."""
    OBSERVER = 6
    """Follows other nodes, verifies and executes every block; no vote."""


class NodeStatus(Wire, tag="status"):
    """What a node says about itself; also shown by `tally testnet status`."""

    request: Uint
    name: Annotated[str, Meta(max_length=64)]
    organisation: Id
    epoch: Epoch
    view: View
    leader: Small
    index: Small
    """In the validator set; the number of validators: in none."""
    committed: Height
    block: Hash
    state_root: Hash
    business_date: Small
    pending: Uint
    """Envelopes in the pool."""
    peers: Small
    """Connected validators; of an observer, nodes that it follows."""
    waiting: Annotated[str, Meta(max_length=400)]
    """Why there is no block, for people."""
    state: NodeState
    waiting_code: Annotated[str, Meta(max_length=32)]
    """The same for programs: a name of `consensus.statistics.WaitingReason`."""
    waiting_for: Annotated[tuple[Name, ...], Meta(max_length=VALIDATORS_MAX)]
    """Names of the validators waited for, where the reason is about some."""
    waiting_height: Height
    """The height that is stuck; 0 where it does not apply."""
    evidence: Uint
    """Proofs of misbehaviour that this node keeps: see `query-evidence`."""
    behind: Height
    """Blocks that the others are known to have above `committed`."""
    observers: Small
    """Observers that follow this node now."""


class Pong(Wire, tag="pong"):
    request: Uint


class RequestRefused(Wire, tag="request.refused"):
    """A request other than `Submit` was refused."""

    request: Uint
    code: Annotated[str, Meta(max_length=32)]
    reason: Annotated[str, Meta(max_length=400)]


ClientReply = (
    Refused | Receipts | TransactionState | RecordProof | IndexPage | EventPage | BlockPage
    | BlockReceipts | DryRunResult | EvidencePage | Penetration | CiphertextState | CiphertextPart
    | NodeStatus | Pong | RequestRefused | Goodbye
)  # fmt: skip
