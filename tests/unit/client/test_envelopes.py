"""Building envelopes: what is built opens, and what would be refused at the door is refused here."""

from __future__ import annotations

import pytest

from tallynet.client import EnvelopeError, build_envelope, key_id
from tallynet.commands import LotAccept
from tallynet.envelope import COMMANDS_MAX, ENVELOPE_BYTES_MAX, Mode, open_envelope
from tallynet.records import Role
from tallynet.signatures import KIND_ENVELOPE, verify_kind
from tests.unit.client.serving import GENESIS_HASH, ORGANISATION
from tests.unit.net.samples import KEYS, PUBLIC

FAR = 4_000_000_000
SIGNERS = [(key_id(PUBLIC[i]), role, KEYS[i]) for i, role in enumerate((Role.MAKER, Role.CHECKER))]


def accept(label: bytes = b"a", voucher: bytes = b"v" * 16) -> LotAccept:
    return LotAccept(label, voucher, 0)


def test_every_signer_signs_the_same_bytes_in_order() -> None:
    built = build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, [accept()], FAR, SIGNERS)
    opened = open_envelope(built.raw)
    assert opened.transaction == built.transaction
    assert [s.role for s in opened.body.signers] == [Role.MAKER, Role.CHECKER]
    for index, signature in enumerate(opened.signatures):
        assert verify_kind(KIND_ENVELOPE, GENESIS_HASH, opened.signed, PUBLIC[index], signature)


def test_the_same_contents_are_the_same_transaction() -> None:
    first, again, later = (
        build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, [accept()], until, SIGNERS)
        for until in (FAR, FAR, FAR + 1)
    )
    assert first.transaction == again.transaction != later.transaction


@pytest.mark.parametrize(
    ("commands", "valid_until", "code"),
    [
        ([], FAR, "COMMAND_COUNT"),
        ([accept(b"")], FAR, "ENVELOPE_MALFORMED"),
        ([accept(voucher=b"short")], FAR, "ENVELOPE_MALFORMED"),
        ([accept()], -1, "ENVELOPE_MALFORMED"),
        ([accept()] * (COMMANDS_MAX + 1), FAR, "COMMAND_COUNT"),
    ],
)
def test_what_a_node_would_refuse_is_refused_before_it_is_sent(
    commands: list[LotAccept], valid_until: int, code: str
) -> None:
    with pytest.raises(EnvelopeError) as caught:
        build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, commands, valid_until, SIGNERS)
    assert caught.value.code == code


def test_a_thousand_commands_fit_and_256_kib_is_the_limit() -> None:
    full = [accept(i.to_bytes(4, "big")) for i in range(COMMANDS_MAX)]
    built = build_envelope(GENESIS_HASH, ORGANISATION, Mode.INDEPENDENT, full, FAR, SIGNERS)
    assert len(built.raw) < ENVELOPE_BYTES_MAX
    with pytest.raises(EnvelopeError) as caught:
        build_envelope(
            GENESIS_HASH, ORGANISATION, Mode.INDEPENDENT,
            [LotAccept(b"a", b"v" * 300, 0)] * 900, FAR, SIGNERS,
        )  # fmt: skip
    assert caught.value.code == "ENVELOPE_TOO_LARGE"
