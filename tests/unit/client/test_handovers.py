"""How a client follows the validators, and what it does not believe about them (reliability §11)."""

from __future__ import annotations

from hashlib import sha256

import anyio
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Certificate, Commit, Header
from tallynet.client.client import Client
from tallynet.client.errors import NotConnected
from tallynet.client.trust import Trust
from tallynet.codec import encode
from tallynet.errors import RemoteProtocolError
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.messages import EvidenceEntry
from tallynet.records import Validator
from tallynet.signatures import KIND_COMMIT
from tallynet.validators import Handover, Succession
from tests.unit.client.serving import GENESIS, GENESIS_HASH, STRANGER, serving

LENGTH = 1_000
MADE = tuple(
    Ed25519PrivateKey.from_private_bytes(sha256(b"member %d" % i).digest()) for i in range(8)
)
KEY_OF = {key.public_key().public_bytes_raw(): key for key in MADE}


def members(*numbers: int) -> tuple[Validator, ...]:
    found = [
        Validator(bytes([i]) * 16, MADE[i].public_key().public_bytes_raw(), f"bank-{i}")
        for i in numbers
    ]
    return tuple(sorted(found, key=lambda validator: validator.public_key))


FIRST, SECOND, THIRD = members(0, 1, 2, 3), members(0, 1, 2, 3, 4), members(1, 2, 3, 4)
START: Genesis = msgspec.structs.replace(GENESIS, validators=FIRST)
NETWORK = genesis_hash(START)


def header_of(
    height: int, names: tuple[Validator, ...], *, epoch: int | None = None, genesis: bytes = NETWORK
) -> bytes:
    at = (height - 1) // LENGTH if epoch is None else epoch
    return encode(
        Header(genesis, 1, at, height, bytes(32), bytes(32), height, 0, validators_hash(names))
    )


def certify(
    header: bytes,
    height: int,
    by: tuple[Validator, ...],
    *,
    count: int | None = None,
    epoch: int | None = None,
    genesis: bytes = NETWORK,
) -> Certificate:
    """By a quorum of these, or by the first `count`."""
    signers = range(
        count if count is not None else len(by) if len(by) == 1 else -(-2 * len(by) // 3)
    )
    at = (height - 1) // LENGTH if epoch is None else epoch
    vote = encode(Commit(at, 0, height, block_hash(header), bytes(32), bytes(32)))
    message = signed_bytes(KIND_COMMIT, genesis, vote)
    return Certificate(
        vote, tuple(signers), tuple(KEY_OF[by[i].public_key].sign(message) for i in signers)
    )


def handover(
    end: int,
    old: tuple[Validator, ...],
    new: tuple[Validator, ...],
    *,
    count: int | None = None,
    names: tuple[Validator, ...] | None = None,
    height: int | None = None,
) -> Handover:
    """At the end of the epoch that ends at `end` x LENGTH."""
    at = end * LENGTH if height is None else height
    header = header_of(at, new if names is None else names)
    return Handover(header, certify(header, at, old, count=count), new)


ONE = handover(2, FIRST, SECOND)
TWO = handover(5, SECOND, THIRD)


def believes(trust: Trust, height: int, by: tuple[Validator, ...]) -> bool:
    """A block that these members of a set certified."""
    header = header_of(height, by)
    try:
        trust.certified(header, certify(header, height, by))
    except RemoteProtocolError:
        return False
    return True


def refusal(succession: Succession, wrong: Handover) -> str:
    before = succession.newest
    with pytest.raises(RemoteProtocolError) as caught:
        succession.add(wrong)
    assert succession.newest == before, "a lie teaches nothing"
    return caught.value.code


def test_hand_overs_lead_from_the_genesis_to_every_later_set() -> None:
    succession = Succession.of(START)
    assert succession.add(ONE)
    assert succession.add(TWO)
    assert not succession.add(ONE)
    assert [succession.set_of(epoch).since for epoch in (0, 1, 2, 4, 5, 99)] == [0, 0, 2, 2, 5, 5]
    assert succession.validators(3) == SECOND
    assert succession.before(succession.newest) == succession.set_of(2)
    assert succession.before(succession.set_of(0)) is None


def test_a_client_believes_each_set_in_its_own_epochs_only() -> None:
    trust = Trust(START)
    assert believes(trust, 1_500, FIRST)
    assert not believes(trust, 2_500, SECOND)
    trust.learn([encode(ONE), encode(TWO)])
    assert believes(trust, 1_600, FIRST)
    assert believes(trust, 2_500, SECOND)
    assert believes(trust, 5_100, THIRD)
    assert not believes(trust, 1_700, SECOND)
    assert not believes(trust, 5_500, SECOND)


def test_a_quorum_of_the_old_set_is_not_believed_after_the_hand_over_C10() -> None:
    """Long range: the old keys sign on, or sign a later height as if it were in their epoch."""
    trust = Trust(START)
    trust.learn([encode(ONE)])
    assert not believes(trust, 2_500, FIRST)
    header = header_of(2_500, FIRST, epoch=1)
    with pytest.raises(RemoteProtocolError, match="epoch"):
        trust.certified(header, certify(header, 2_500, FIRST, epoch=1))
    forged = handover(3, FIRST, THIRD)
    assert refusal(trust.succession, forged) == "BAD_CERTIFICATE"
    # The same epoch handed over to somebody else.
    assert refusal(trust.succession, handover(2, FIRST, THIRD)) == "BAD_HANDOVER"


def test_a_block_of_a_set_that_is_not_known_says_what_is_missing() -> None:
    trust = Trust(START)
    header = header_of(2_500, SECOND)
    with pytest.raises(RemoteProtocolError) as caught:
        trust.certified(header, certify(header, 2_500, SECOND))
    assert caught.value.code == "VALIDATORS_CHANGED"
    assert trust.newest == 0


def weak() -> tuple[Validator, ...]:
    """A key of small order, under which constant signatures match (C1)."""
    return (Validator(bytes(16), b"\1" + bytes(31), "weak"), *FIRST)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (handover(2, FIRST, SECOND, count=2), "BAD_CERTIFICATE"),  # q - 1 signatures
        (TWO, "BAD_CERTIFICATE"),  # skips a set
        (handover(2, members(4, 5, 6, 7), SECOND), "BAD_CERTIFICATE"),  # by nobody
        (handover(2, FIRST, SECOND, names=THIRD), "BAD_HANDOVER"),  # another set than it names
        (handover(2, FIRST, SECOND, height=1_999), "BAD_HANDOVER"),  # not at an epoch's end
        (handover(2, FIRST, FIRST), "BAD_HANDOVER"),  # to the same set
        (handover(2, FIRST, FIRST[:3]), "BAD_HANDOVER"),  # too few tolerate no fault
        (handover(2, FIRST, tuple(reversed(SECOND))), "BAD_HANDOVER"),  # INV-16
        (handover(2, FIRST, (*FIRST, FIRST[-1])), "BAD_HANDOVER"),  # a key twice
        (handover(2, FIRST, weak()), "BAD_HANDOVER"),
        (
            Handover(
                header_of(2_000, SECOND), certify(header_of(1_000, SECOND), 1_000, FIRST), SECOND
            ),
            "BAD_HANDOVER",
        ),  # a certificate for another block
        (
            Handover(
                header_of(2_000, SECOND),
                certify(header_of(2_000, SECOND), 2_000, FIRST, epoch=3),
                SECOND,
            ),
            "BAD_CERTIFICATE",
        ),
    ],
)
def test_a_hand_over_that_does_not_hold_teaches_nothing(wrong: Handover, code: str) -> None:
    assert refusal(Succession.of(START), wrong) == code


def test_a_hand_over_of_another_network_is_refused() -> None:
    other = sha256(b"another").digest()
    header = header_of(2_000, SECOND, genesis=other)
    made = Handover(header, certify(header, 2_000, FIRST, genesis=other), SECOND)
    assert refusal(Succession.of(START), made) == "BAD_HANDOVER"


# --- over a connection --------------------------------------------------------------------------------


def entries(*handovers: Handover) -> list[EvidenceEntry]:
    epochs = (2, 5, 7)
    return [
        EvidenceEntry(epoch.to_bytes(8, "big"), encode(one))
        for epoch, one in zip(epochs, handovers, strict=False)
    ]


def newest_after_connecting(shown: list[EvidenceEntry]) -> int:
    with serving(1) as servers:
        servers[0].handovers = shown

        async def main() -> int:
            async with Client.connect([servers[0].address], GENESIS, STRANGER) as client:
                return client.trust.succession.newest.since

        return anyio.run(main)


def of_this_network(
    end: int, new: tuple[Validator, ...], old: tuple[Validator, ...] = GENESIS.validators
) -> Handover:
    header = header_of(end * LENGTH, new, genesis=GENESIS_HASH)
    return Handover(header, certify(header, end * LENGTH, old, genesis=GENESIS_HASH), new)


def test_whoever_connects_learns_all_sets_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.net.samples import KEYS

    for key in KEYS:
        monkeypatch.setitem(KEY_OF, key.public_key().public_bytes_raw(), key)
    made = [
        of_this_network(2, SECOND),
        of_this_network(5, THIRD, SECOND),
        of_this_network(7, SECOND, THIRD),
    ]
    assert newest_after_connecting(entries(*made)) == 7
    assert newest_after_connecting([]) == 0


def test_a_node_that_shows_a_wrong_hand_over_is_left() -> None:
    with pytest.raises(NotConnected, match="NETWORK_MISMATCH"):
        newest_after_connecting(entries(ONE))
