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
from tallynet.names import Fact, commitment, fact_commitment
from tallynet.records import Algorithm, Kind, OrganisationKind, PolicyRule, Role, Size
from tallynet.signatures import KIND_REGISTER
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
    salt_of,
    write_wallet,
)

OPENING_FILE: Final = "commitments.json"
"""Name and tax id behind the commitments on chain, each with its salt: shown to whoever may know them
(`tally organisation disclose`)."""
FOREVER: Final = 2**40
_PROVISIONAL: Final = bytes(16)
"""Id in a wallet file until its keys are made, of which the real one is made."""
STANDARD_KYC: Final = 2


def people_for(kind: OrganisationKind, size: Size) -> tuple[PersonPlan, ...]:
    """Who gets a key: a core has an approver too, a one-person shop its owner only."""
    if size is Size.MICRO:
        return MICRO_PEOPLE
    return CORE_PEOPLE if kind is OrganisationKind.CORE else SMALL_PEOPLE


def new_organisation(
    network: Path, sponsor: Wallet, name: str, kind: OrganisationKind, size: Size
) -> Wallet:
    """Make the wallet of an organisation that `sponsor` is about to register."""
    plan = people_for(kind, size)
    wallet = create_wallet(network, name, _PROVISIONAL, (kind.name,), plan)
    return _with_id(network, wallet, sponsor.id)


def label_of(wallet: Wallet) -> bytes:
    """Under which a wallet's organisation is registered. A label stands in a block for all banks to read,
    so it is made of keys, which do as well, and not of the name."""
    keys = "".join(person.public_key for person in wallet.people)
    return sha256(b"tallynet/label" + bytes.fromhex(keys)).digest()[:16]


def _with_id(network: Path, wallet: Wallet, creator: bytes) -> Wallet:
    """The wallet with the id that its organisation will have."""
    organisation = record_id(Kind.ORGANISATION, creator, label_of(wallet))
    known = msgspec.structs.replace(wallet, organisation=organisation.hex())
    write_wallet(network, known)
    return known


def new_key(network: Path, genesis: bytes, wallet: Wallet, person: Person) -> NewKey:
    """A key with its proof of possession (C1)."""
    key = private_key(network, wallet, person)
    public = bytes.fromhex(person.public_key)
    return NewKey(
        person_commitment(network, wallet, person.name),
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
    tax = tax_id or f"test-{wallet.name}"
    name_hash, tax_hash = committed_facts(network, wallet, tax)
    return OrganisationRegister(
        label_of(wallet),
        (kind,),
        size,
        STANDARD_KYC,
        industry,
        region,
        name_hash,
        tax_hash,
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

    wallet = create_wallet(network, name, _PROVISIONAL, [kind.name for kind in kinds], BANK_PEOPLE)
    name_hash, tax_hash = committed_facts(network, wallet, tax_id)
    command = OrganisationAdmit(
        label,
        tuple(kinds),
        industry,
        region,
        name_hash,
        tax_hash,
        sha256(b"tallynet/unique" + tax_id.encode()).digest(),
        tuple(new_key(network, genesis, wallet, person) for person in wallet.people),
    )
    organisation = record_id(Kind.ORGANISATION, hash_of(command), b"")
    write_wallet(network, msgspec.structs.replace(wallet, organisation=organisation.hex()))
    return command


def new_branch(
    network: Path, parent: Wallet, name: str, kinds: Sequence[OrganisationKind]
) -> Wallet:
    """Make the wallet of a branch that `parent` is about to create, with people as the parent has."""
    people = [PersonPlan(person.name, person.role_set) for person in parent.people]
    wallet = create_wallet(network, name, _PROVISIONAL, [kind.name for kind in kinds], people)
    return _with_id(network, wallet, parent.id)


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
    name_hash, tax_hash = committed_facts(network, wallet, tax_id)
    return BranchCreate(
        label_of(wallet),
        tuple(OrganisationKind[kind] for kind in wallet.kinds),
        region,
        name_hash,
        tax_hash,
        sha256(b"tallynet/unique" + tax_id.encode()).digest(),
        tuple(new_key(network, genesis, wallet, person) for person in wallet.people),
        policy,
    )


def committed_facts(network: Path, wallet: Wallet, tax_id: str) -> tuple[bytes, bytes]:
    """Commitments to name and tax id; what opens them is written beside the wallet, for its owner only."""
    path = network / WALLETS / wallet.name / OPENING_FILE
    texts = {Fact.name: wallet.name, Fact.tax_id: tax_id}
    salts = {fact: salt_of(network, wallet, fact.value) for fact in Fact}
    opening = {fact.value: {"text": texts[fact], "salt": salts[fact].hex()} for fact in Fact}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(opening, indent=2, ensure_ascii=False) + "\n")
    name, tax = (fact_commitment(fact, salts[fact], texts[fact]) for fact in Fact)
    return name, tax


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
