"""Bringing an organisation onto the network: keys, proofs of possession, the sponsor's command."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from tallynet.commands import (
    AccountBind,
    BranchCreate,
    DocumentRegister,
    NewKey,
    OrganisationAdmit,
    OrganisationRegister,
)
from tallynet.documents import Registration, read_invoice, registration_fields
from tallynet.hashing import record_id, signed_bytes
from tallynet.records import Algorithm, Kind, OrganisationKind, PolicyRule, Role, Size
from tallynet.signatures import KIND_REGISTER
from tools.records_by_name import commitment
from tools.wallet import (
    BANK_PEOPLE,
    CORE_PEOPLE,
    MICRO_PEOPLE,
    SMALL_PEOPLE,
    WALLETS,
    Person,
    PersonPlan,
    Wallet,
    create_wallet,
    person_commitment,
    private_key,
    write_wallet,
)

OPENING_FILE: Final = "commitments.json"
"""Name, tax id and salt behind the commitments on chain: shown to whoever may know them."""
FOREVER: Final = 2**40
STANDARD_KYC: Final = 2


def people_for(kind: OrganisationKind, size: Size) -> tuple[PersonPlan, ...]:
    """Who gets a key: a core has an approver too, a one-person shop its owner only."""
    if size is Size.MICRO:
        return MICRO_PEOPLE
    return CORE_PEOPLE if kind is OrganisationKind.CORE else SMALL_PEOPLE


def new_organisation(
    network: Path, sponsor: Wallet, name: str, kind: OrganisationKind, size: Size
) -> Wallet:
    """Make the wallet of an organisation that `sponsor` is about to register under label `name`."""
    organisation = record_id(Kind.ORGANISATION, sponsor.id, name.encode())
    return create_wallet(network, name, organisation, (kind.name,), people_for(kind, size))


def new_key(network: Path, genesis: bytes, wallet: Wallet, person: Person) -> NewKey:
    """A key with its proof of possession (C1)."""
    key = private_key(network, wallet, person)
    public = bytes.fromhex(person.public_key)
    return NewKey(
        person_commitment(wallet.name, person.name, wallet.id),
        person.role_set,
        Algorithm.ED25519,
        public,
        0,
        FOREVER,
        10**13 if Role.API in person.role_set else 0,
        key.sign(signed_bytes(KIND_REGISTER, genesis, public)),
    )


def registration(
    network: Path,
    genesis: bytes,
    wallet: Wallet,
    kind: OrganisationKind,
    size: Size,
    *,
    tax_id: str | None = None,
    industry: str = "tourism",
    region: str = "coast",
) -> OrganisationRegister:
    """The sponsor's command that registers a wallet's organisation. Name and tax id enter the chain
    as salted commitments only, whose opening is kept in the wallet; one uniqueness tag per tax id
    keeps double registration out."""
    salt = os.urandom(32)
    tax = tax_id or f"test-{wallet.name}"
    keep_opening(network, wallet, salt, tax)
    return OrganisationRegister(
        wallet.name.encode(),
        (kind,),
        size,
        STANDARD_KYC,
        industry,
        region,
        sha256(b"tallynet/name" + salt + wallet.name.encode()).digest(),
        sha256(b"tallynet/tax-id" + salt + tax.encode()).digest(),
        sha256(b"tallynet/unique" + tax.encode()).digest(),
        tuple(new_key(network, genesis, wallet, person) for person in wallet.people),
        (),
    )


def admission(
    network: Path,
    genesis: bytes,
    name: str,
    kinds: Sequence[OrganisationKind],
    label: bytes,
    *,
    tax_id: str,
    industry: str,
    region: str,
) -> OrganisationAdmit:
    """Make the wallet of an institution and the body of the joint act that admits it; the organisation's
    id is a function of the body. Raises WalletError WALLET_EXISTS."""
    from node.ledger.joint import hash_of

    provisional = record_id(Kind.ORGANISATION, b"", name.encode())
    wallet = create_wallet(network, name, provisional, [kind.name for kind in kinds], BANK_PEOPLE)
    salt = os.urandom(32)
    command = OrganisationAdmit(
        label,
        tuple(kinds),
        industry,
        region,
        sha256(b"tallynet/name" + salt + name.encode()).digest(),
        sha256(b"tallynet/tax-id" + salt + tax_id.encode()).digest(),
        sha256(b"tallynet/unique" + tax_id.encode()).digest(),
        tuple(new_key(network, genesis, wallet, person) for person in wallet.people),
    )
    organisation = record_id(Kind.ORGANISATION, hash_of(command), b"")
    write_wallet(network, msgspec.structs.replace(wallet, organisation=organisation.hex()))
    return command


def new_branch(
    network: Path, parent: Wallet, name: str, kinds: Sequence[OrganisationKind]
) -> Wallet:
    """Make the wallet of a branch that `parent` is about to create under label `name`, with people as the
    parent has."""
    people = [PersonPlan(person.name, person.role_set) for person in parent.people]
    organisation = record_id(Kind.ORGANISATION, parent.id, name.encode())
    return create_wallet(network, name, organisation, [kind.name for kind in kinds], people)


def branch_creation(
    network: Path,
    genesis: bytes,
    wallet: Wallet,
    *,
    tax_id: str,
    region: str,
    policy: tuple[PolicyRule, ...] = (),
) -> BranchCreate:
    """The parent's command that creates a branch of this wallet."""
    salt = os.urandom(32)
    keep_opening(network, wallet, salt, tax_id)
    return BranchCreate(
        wallet.name.encode(),
        tuple(OrganisationKind[kind] for kind in wallet.kinds),
        region,
        sha256(b"tallynet/name" + salt + wallet.name.encode()).digest(),
        sha256(b"tallynet/tax-id" + salt + tax_id.encode()).digest(),
        sha256(b"tallynet/unique" + tax_id.encode()).digest(),
        tuple(new_key(network, genesis, wallet, person) for person in wallet.people),
        policy,
    )


def keep_opening(network: Path, wallet: Wallet, salt: bytes, tax_id: str) -> None:
    """Write what opens the wallet's commitments, readable by its owner only."""
    path = network / WALLETS / wallet.name / OPENING_FILE
    opening = {"name": wallet.name, "tax_id": tax_id, "salt": salt.hex()}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(opening, indent=2, ensure_ascii=False) + "\n")


def account(wallet: Wallet, bank: bytes, currency: str, number: str) -> AccountBind:
    """Bind an account under the label `main`."""
    return AccountBind(b"main", bank, commitment("account", wallet.id, number), currency)


def seal_file(path: Path) -> Registration:
    """Read an invoice file and seal it under fresh random keys.

    Raises InvoiceError with the place in the file and what to do, or OSError.
    """
    source = path.read_bytes()
    return registration_fields(
        read_invoice(source), source, document_salt=os.urandom(32), document_key=os.urandom(32)
    )


def document(
    label: bytes, sealed: Registration, creditor: bytes, debtor: bytes
) -> DocumentRegister:
    """The command that registers a sealed invoice between its seller and its buyer."""
    return DocumentRegister(
        label,
        sealed.document_type,
        sealed.uniqueness_tag,
        sealed.root,
        sealed.ciphertext_hash,
        creditor,
        debtor,
        (),
        sealed.currency,
        sealed.total,
        sealed.delivery_day,
    )
