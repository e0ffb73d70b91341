"""Documents: attest, void, access, complaint (voucher law §8.4), with every refusal."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.ledger.documents import ATTESTATIONS_MAX
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import reader_hint

GENUINE, RECEIVED = r.AttestationKind.INVOICE_GENUINE, r.AttestationKind.GOODS_RECEIVED
SECRET = bytes(range(32))
WRAPPED = bytes(80)


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def document_of(world: World, voucher: bytes) -> bytes:
    return world.get(r.Voucher, voucher).documents[0].document


# --- document.register ------------------------------------------------------------------------------


def registering(world: World, root: bytes = DIGEST, total: int = 100) -> c.DocumentRegister:
    """The same invoice of `devices` for `core`, whoever registers it."""
    return c.DocumentRegister(
        world.label, r.DocumentType.INVOICE, bytes(31) + b"t", root, DIGEST,
        world.ids["devices"], world.ids["core"], (), "CNY", total, None,
    )  # fmt: skip


def test_a_named_party_gets_the_existing_id_others_DOCUMENT_DUPLICATE(world: World) -> None:
    id = world.ok("devices", registering(world)).created[0].id
    assert world.ok("core", registering(world)).created[0].id == id
    known = world.get(r.Document, id)
    theirs = msgspec.structs.replace(
        registering(world), creditor=world.ids["shop"], debtor=world.ids["bank-2"]
    )
    world.refused("DOCUMENT_DUPLICATE", "shop", theirs)
    assert world.get(r.Document, id) == known


def test_the_same_invoice_with_another_content_DOCUMENT_CONFLICT(world: World) -> None:
    id = world.ok("devices", registering(world)).created[0].id
    known = world.get(r.Document, id)
    world.refused("DOCUMENT_CONFLICT", "core", registering(world, root=bytes(32)))
    assert world.get(r.Document, id) == known


# --- document.attest --------------------------------------------------------------------------------


def test_oracle_bank_and_counterparty_attest_each_thing_once(world: World) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    document = world.document(100)
    for by, kind in (("oracle", GENUINE), ("bank-3", GENUINE), ("core", RECEIVED)):
        world.ok(by, c.DocumentAttest(world.label, document, kind))
    found = world.get(r.Document, document).attestations
    assert [(a.kind, a.attestor) for a in found] == [
        (GENUINE, world.ids["oracle"]),
        (GENUINE, world.ids["bank-3"]),
        (RECEIVED, world.ids["core"]),
    ]
    world.refused("STATE_CONFLICT", "core", c.DocumentAttest(world.label, document, RECEIVED))


@pytest.mark.parametrize("by", ["devices", "shop"])
def test_neither_the_owner_nor_a_stranger_attests_ORACLE_REQUIRED(world: World, by: str) -> None:
    attest = c.DocumentAttest(world.label, world.document(100), GENUINE)
    world.refused("ORACLE_REQUIRED", by, attest)


def test_a_void_document_is_not_attested_DOCUMENT_STATE(world: World) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    document = world.document(100)
    world.ok("oracle", c.DocumentVoid(world.label, document))
    world.refused("DOCUMENT_STATE", "bank-1", c.DocumentAttest(world.label, document, GENUINE))


def test_attestations_of_one_document_are_bounded_BATCH_LIMIT(world: World) -> None:
    document = world.document(100)
    record = world.get(r.Document, document)
    full = (r.Attestation(GENUINE, bytes(16), 0),) * ATTESTATIONS_MAX
    world.state.put(r.Kind.DOCUMENT, document, msgspec.structs.replace(record, attestations=full))
    world._commit(world.state)
    world.refused("BATCH_LIMIT", "bank-1", c.DocumentAttest(world.label, document, GENUINE))


# --- document.void ----------------------------------------------------------------------------------


def test_owner_and_debtor_void_together_neither_alone(world: World) -> None:
    document = world.document(100)
    assert world.ok("devices", c.DocumentVoid(world.label, document)).result == (1, 2)
    assert world.get(r.Document, document).status is r.DocumentStatus.ACTIVE
    world.refused("CONSENT_REPEATED", "devices", c.DocumentVoid(world.label, document))
    world.refused("NOT_AUTHORISED", "shop", c.DocumentVoid(world.label, document))
    world.ok("core", c.DocumentVoid(world.label, document))
    assert world.get(r.Document, document).status is r.DocumentStatus.VOID


def test_a_debtor_who_registered_the_document_needs_the_creditor(world: World) -> None:
    register = c.DocumentRegister(
        world.label, r.DocumentType.INVOICE, DIGEST, DIGEST, DIGEST, world.ids["devices"],
        world.ids["core"], (), "CNY", 100, None,
    )  # fmt: skip
    document = world.ok("core", register).created[0].id
    world.ok("core", c.DocumentVoid(world.label, document))
    assert world.get(r.Document, document).status is r.DocumentStatus.ACTIVE
    world.ok("devices", c.DocumentVoid(world.label, document))
    assert world.get(r.Document, document).status is r.DocumentStatus.VOID


def test_an_oracle_voids_alone_and_only_once_DOCUMENT_STATE(world: World) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    document = world.document(100)
    world.ok("oracle", c.DocumentVoid(world.label, document))
    world.refused("DOCUMENT_STATE", "oracle", c.DocumentVoid(world.label, document))


def test_no_new_voucher_on_a_void_document_DOCUMENT_STATE(world: World) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    document = world.document(100)
    world.ok("oracle", c.DocumentVoid(world.label, document))
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 1_000)
    world.refused("DOCUMENT_STATE", "core", world.issue(100, document, world.programme(), line))


def test_vouchers_of_a_void_document_stand_but_are_not_financed_DOCUMENT_VOID(world: World) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    voucher, offer = world.voucher(1_000), world.offer()
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 100, offer))
    world.ok("oracle", c.DocumentVoid(world.label, document_of(world, voucher)))
    world.refused("DOCUMENT_VOID", "devices", world.draw("devices", voucher, 0, 100, offer))
    world.pay_out("bank-2", drawn, drawn.result[1])
    pieces = (c.Piece(world.ids["shop"], 100, None),)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, pieces))
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DUE


def test_DOCUMENT_VOID_neither_requests_nor_batches_begin_and_no_quote_is_accepted(
    world: World,
) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    voucher, offer = world.voucher(1_000), world.offer()
    banks, account = (world.ids["bank-2"],), world.account("devices")
    ask = c.FinancingRequestOpen(world.label, voucher, 0, 100, account, r.Purpose.GOODS, banks)
    request = next(
        x.id for x in world.ok("devices", ask).created if x.kind == r.Kind.FINANCING_REQUEST
    )
    quote = c.FinancingQuote(
        world.label, request, 100, r.FinancingKind.SALE, 43_500, 360, 10_000, (), False, world.day
    )
    world.ok("bank-2", quote)
    world.ok("oracle", c.DocumentVoid(world.label, document_of(world, voucher)))
    accept = c.FinancingAccept(world.label, request, world.ids["bank-2"])
    world.refused("DOCUMENT_VOID", "devices", accept)
    again = c.FinancingRequestOpen(world.label, voucher, 0, 100, account, r.Purpose.GOODS, banks)
    world.refused("DOCUMENT_VOID", "devices", again)
    draws = (c.BatchDraw(1, r.Purpose.RENT),)
    batch = c.FinancingDrawBatch(world.label, offer, voucher, 0, draws, account)
    world.refused("DOCUMENT_VOID", "devices", batch)
    world.ok("devices", c.FinancingCancel(world.label, request))


# --- key.reading.set --------------------------------------------------------------------------------


def reading_key(world: World, epoch: int) -> c.ReadingKeySet:
    public = bytes([epoch]) * 1_216
    return c.ReadingKeySet(world.label, epoch, r.ReadingSuite.MLKEM768_X25519, public)


def test_a_reading_key_is_replaced_by_a_later_epoch_only_READER_KEY(world: World) -> None:
    world.ok("bank-2", reading_key(world, 2))
    for epoch in (1, 2):
        world.refused("READER_KEY", "bank-2", reading_key(world, epoch))
    assert world.get(r.ReadingKey, world.ids["bank-2"]).epoch == 2
    world.ok("bank-2", reading_key(world, 5))
    assert world.get(r.ReadingKey, world.ids["bank-2"]).public_key == bytes([5]) * 1_216


# --- document.access.grant and document.complaint ---------------------------------------------------


def granted(world: World, reader: str, epoch: int = 1) -> tuple[bytes, c.AccessGrant]:
    document = world.document(100)
    hint = reader_hint(SECRET, document, world.ids[reader])
    return document, c.AccessGrant(world.label, document, hint, epoch, WRAPPED)


def test_the_owner_wraps_the_key_and_the_state_does_not_name_the_reader(world: World) -> None:
    document, grant = granted(world, "bank-2")
    world.refused("NOT_AUTHORISED", "core", grant)
    id = world.ok("devices", grant).created[0].id
    assert world.get(r.DocumentReader, id) == r.DocumentReader(document, 1, WRAPPED, False)
    keys = world.state.index_scan(Index.DOCUMENT_READERS, document, limit=2)
    assert keys == [document + id]


def test_a_key_is_replaced_for_a_later_epoch_only_READER_KEY(world: World) -> None:
    document, grant = granted(world, "bank-2", 7)
    id = world.ok("devices", grant).created[0].id
    again = c.AccessGrant(world.label, document, grant.hint, 7, bytes(96))
    world.refused("READER_KEY", "devices", again)
    world.ok("devices", c.AccessGrant(world.label, document, grant.hint, 8, bytes(96)))
    assert world.get(r.DocumentReader, id).wrapped_key == bytes(96)


def test_a_reader_complains_once_and_nobody_else_does_READER_KEY(world: World) -> None:
    document, grant = granted(world, "bank-2")
    world.ok("devices", grant)
    fields = (c.OpenedField("total", bytes(32), b"100"),)
    complaint = c.DocumentComplaint(world.label, document, SECRET, fields)
    world.refused("READER_KEY", "bank-3", complaint)
    world.ok("bank-2", complaint)
    world.refused("STATE_CONFLICT", "bank-2", c.DocumentComplaint(b"2", document, SECRET, fields))
    assert world.get(r.Document, document).status is r.DocumentStatus.ACTIVE
