"""Every number of the protocol in one place, with the relations between them checked at import.

Start values of protocol §5.2. Heights, sizes and times bound something each; the reason stands
beside the number.
"""

from __future__ import annotations

from typing import Final

from tallynet.envelope import ENVELOPE_BYTES_MAX
from tallynet.errors import invariant
from tallynet.messages import BLOCK_TRANSACTIONS_MAX, WINDOW_MAX

WINDOW: Final = 4
"""W, blocks in flight: hides fsync and round trips, not bandwidth (protocol §5.1). Only full batches fill it."""
EPOCH_LENGTH: Final = 1000
"""Blocks per epoch; the validator set may change only between two of them."""
BATCH_TRANSACTIONS_MAX: Final = BLOCK_TRANSACTIONS_MAX
BATCH_BYTES_MAX: Final = 2 * 1024 * 1024
"""Sum of encoded envelopes under one block; with its ids it fits one frame of 4 MiB."""
POOL_MAX: Final = 20_000
"""Pending transactions: five seconds of the highest rate; more only adds waiting."""
TRANSACTION_TTL_S: Final = 86_400
"""`valid_until` lies at most so far after the header's time (INV-14)."""

T_PROGRESS_MS: Final = 1_000
"""Without a commit for so long while there is work, a replica complains; doubles per failed view."""
T_PROGRESS_MAX_MS: Final = 32_000
"""Cap of the doubling (A11): after a long outage the network is back within two caps."""
T_STATUS_MS: Final = 250
"""Period of Status, which is also the period of every retransmission."""
T_STATUS_ANSWER_MS: Final = T_STATUS_MS // 2
"""One validator's Status is answered, with votes or a NewView of up to 2 MiB, once in so much time. Correct
ones send it every T_STATUS, and it may be late."""
T_LEADER_SILENT_MS: Final = 5_000
T_TRANSACTION_COMPLAIN_MS: Final = 5_000
"""The oldest transaction of an organisation may be passed over so long under one leader (protocol §5.9,
decision 0015)."""
T_COMPLAINT_LIFE_MS: Final = 2_500
"""A complaint is repeated every T_STATUS while it stands; unrepeated for so long it is forgotten,
so that two hiccups hours apart do not add up to a view change."""
CLOCK_WINDOW_MS: Final = 2_000
"""A first proposal's time may differ so far from the voter's clock (design §9)."""
FETCH_GRACE_MS: Final = 10
"""Bodies are gossiped beside the proposal: wait so long before asking for missing ones."""
FETCH_RETRY_MS: Final = 150
"""Then ask the next peer."""

T_PACE_MS: Final = 3_000
"""A leader's pace is judged after so much time with work: several view changes would fit in it, and a
pause of its machine does not fill it."""
PACE_SHARE: Final = 2
"""A leader is slow below 1/2 of the expected efficiency. The literature's 90 % is of a rate measured
under one constant load; ours has to hold on a noisy machine (decision 0014)."""
PACE_SLACK_MS: Final = 10
"""What a leader may take beside that, for whatever its machine does between two steps."""
PACE_BLOCKS_MAX: Final = 32
"""What a block takes is a mean over the last 16 to 32: it follows the load within seconds."""
PACE_GAP_MAX_MS: Final = T_STATUS_MS
"""Ticks are never further apart, unless the whole process stood still."""
PACE_MEMORY_MS: Final = 600_000
"""What the last views reached counts for ten minutes: in a network where every leader seems slow, one
round of view changes in ten minutes costs nothing and finds out when that is over."""

T_WAITING_MS: Final = 1_000
"""Why there is no block is worth a log line when it has been so for longer than a block ever takes."""
T_WAITING_AGAIN_MS: Final = 60_000
"""While it stays so it is said again, for who reads the end of a log."""

LOOKAHEAD_WINDOWS: Final = 2
"""Votes are kept up to 2 W above the newest commit: a peer can be one window ahead of us."""
CATCH_UP_BLOCKS_MAX: Final = 64
"""Certified blocks waiting for execution; equals what one Blocks message can carry."""
VERIFIED_MAX: Final = 4_096
"""Remembered good signatures per generation: two generations cover several view changes of n=13."""
DELIVERED_MAX: Final = 64
"""Delivered blocks whose durability was not reported yet: then delivery waits for the disk, which so
limits memory to what one Blocks message made us execute."""
FETCHES_MAX: Final = 256
"""Contents, and as many blocks' bodies, asked for at a time: more than the certificates of ten ViewChanges
can name; then the oldest request makes room."""
CONTENTS_MAX: Final = 1_024
"""Blocks held as header and ids (at most 17 KB each). In use are those of two windows, of the certified
ones, and of the certificates in ViewChanges; beyond this number the others are dropped."""
EVIDENCE_PER_VALIDATOR_MAX: Final = 16
"""Proofs kept against one validator, for ever: one is enough to act on, a few show the pattern, and no
culprit can crowd out the others."""
EVIDENCE_BYTES_MAX: Final = 3 * 1024 * 1024
"""A proof has to fit one frame. Two NewViews do up to about 60 validators."""


def check_relations() -> None:
    """Raise InvariantViolated when two constants contradict each other."""
    invariant(1 <= WINDOW <= WINDOW_MAX, "CONSTANTS_WINDOW")
    invariant(WINDOW < EPOCH_LENGTH, "CONSTANTS_EPOCH")
    invariant(8 * ENVELOPE_BYTES_MAX <= BATCH_BYTES_MAX, "CONSTANTS_ENVELOPE_FITS_BATCH")
    invariant(BATCH_TRANSACTIONS_MAX <= POOL_MAX, "CONSTANTS_POOL")
    invariant(T_STATUS_MS < T_PROGRESS_MS <= T_PROGRESS_MAX_MS, "CONSTANTS_TIMERS")
    invariant(4 * T_STATUS_MS <= T_LEADER_SILENT_MS, "CONSTANTS_LEADER_SILENT")
    invariant(T_PROGRESS_MS <= T_TRANSACTION_COMPLAIN_MS, "CONSTANTS_FAIRNESS")
    invariant(4 * T_STATUS_MS <= T_COMPLAINT_LIFE_MS, "CONSTANTS_COMPLAINT_LIFE")
    invariant(T_PROGRESS_MS < T_PACE_MS <= T_TRANSACTION_COMPLAIN_MS, "CONSTANTS_PACE")
    invariant(FETCH_GRACE_MS < FETCH_RETRY_MS < T_PROGRESS_MS, "CONSTANTS_FETCH")
    invariant(
        CATCH_UP_BLOCKS_MAX + FETCHES_MAX + 4 * WINDOW_MAX <= CONTENTS_MAX // 2,
        "CONSTANTS_CONTENTS",
    )
    invariant(LOOKAHEAD_WINDOWS * WINDOW_MAX <= CATCH_UP_BLOCKS_MAX, "CONSTANTS_LOOKAHEAD")


check_relations()
