"""The parties of a simulated network: banks with validators, a core enterprise, its suppliers.

Made once per shape and process; the same shape gives the same genesis. Everybody's people hold real
Ed25519 keys, because the voucher law verifies them itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.ledger.rulebook import RULES, Signers
from tallynet.codec import Wire, encode
from tallynet.commands import Ready, ReadyBody, ValidatorAdd
from tallynet.envelope import Envelope, EnvelopeBody, Mode, Signer, seal_envelope
from tallynet.genesis import Genesis, GenesisKey, GenesisOrganisation, genesis_hash
from tallynet.hashing import record_id, signed_bytes
from tallynet.records import Algorithm, Kind, OrganisationKind, Role, Size, Validator
from tallynet.signatures import KIND_ENVELOPE, KIND_READY
from tools.simulator.signing import SpareKey, spare_keys, validator_keys

MONDAY: Final = 20_878
"""2027-03-01, a working day."""
FOREVER: Final = 2**40
API_CAP: Final = 10**9
"""What a machine key may move alone, fen."""
BANKS_MIN: Final = 4
"""As many act, whether they have nodes or not."""
SUPPLIERS: Final = ("devices", "shop", "cafe")
COURT: Final = "court"
PEOPLE: Final[dict[str, tuple[Role, ...]]] = {
    "maker": (Role.MAKER, Role.ADMIN),
    "checker": (Role.CHECKER, Role.ADMIN),
    "approver": (Role.APPROVER,),
    "machine": (Role.API,),
}
OWNER: Final[dict[str, tuple[Role, ...]]] = {
    "owner": (Role.MAKER, Role.ADMIN),
    "machine": (Role.API,),
}
_NAMES: Final = {Role.MAKER: "maker", Role.CHECKER: "checker", Role.APPROVER: "approver"}


@dataclass(frozen=True, slots=True)
class Party:
    """One organisation and its people's keys."""

    name: str
    id: bytes
    kinds: tuple[OrganisationKind, ...]
    size: Size
    keys: dict[str, Ed25519PrivateKey]

    @property
    def is_bank(self) -> bool:
        return OrganisationKind.BANK in self.kinds

    def public(self, person: str) -> bytes:
        return self.keys[person].public_key().public_bytes_raw()

    def signers(self, command: type[Wire]) -> list[tuple[str, Role]]:
        """Who signs a command under the default policies (voucher law §5)."""
        needed = RULES[command].signers
        if "owner" in self.keys:
            return [("owner", Role.ADMIN if needed is Signers.AD2 else Role.MAKER)]
        if needed is Signers.ANY:
            return [("maker", Role.MAKER)]
        if needed is Signers.AD2:
            return [("maker", Role.ADMIN), ("checker", Role.ADMIN)]
        return [(_NAMES[role], role) for role in needed.roles]


@dataclass(frozen=True, slots=True)
class Town:
    """A network's genesis and everybody in it."""

    genesis: Genesis
    hash: bytes
    validators: tuple[Any, ...]
    """Keys of the nodes: the founders' by validator index, then those of the spares."""
    founders: int
    """Validators of the genesis."""
    parties: tuple[Party, ...]
    """First the banks in the order of their nodes, then the core enterprise, the suppliers, the court."""

    def party(self, name: str) -> Party:
        return next(party for party in self.parties if party.name == name)

    def number_of(self, public: bytes) -> int:
        """Number of the node with this key."""
        return [key.public_key().public_bytes_raw() for key in self.validators].index(public)

    def ready(self, number: int) -> ValidatorAdd:
        """The act that adds a spare's node; the same for everybody, so that consents add up. Its state root is
        made up: the law cannot compare it."""
        bank, key = self.parties[number], self.validators[number]
        signer = key.real if isinstance(key, SpareKey) else key
        body = encode(ReadyBody(bank.id, 1, self.hash))
        signature = signer.sign(signed_bytes(KIND_READY, self.hash, body))
        public = key.public_key().public_bytes_raw()
        return ValidatorAdd(b"-", bank.id, bank.name, public, Ready(1, self.hash, signature))

    @property
    def spares(self) -> range:
        """Numbers of the nodes, and of their banks, that may become validators."""
        return range(self.founders, len(self.validators))

    @property
    def banks(self) -> Sequence[Party]:
        return [party for party in self.parties if party.is_bank]

    @property
    def clients(self) -> Sequence[Party]:
        """Who acts: four banks, the core enterprise, the suppliers, the court."""
        return (*self.parties[:BANKS_MIN], *self.parties[len(self.banks) :])

    def envelope(
        self,
        by: Party,
        commands: Sequence[Any],
        valid_until: int,
        *,
        mode: Mode = Mode.ATOMIC,
        signers: Sequence[tuple[str, Role]] | None = None,
    ) -> Envelope:
        """Commands of one party, signed by the people that the first one needs."""
        chosen = by.signers(type(commands[0])) if signers is None else signers
        body = EnvelopeBody(
            1, self.hash, by.id, mode, tuple(commands), valid_until,
            tuple(Signer(record_id(Kind.KEY, b"", by.public(person)), role) for person, role in chosen),
        )  # fmt: skip
        message = signed_bytes(KIND_ENVELOPE, self.hash, encode(body))
        return seal_envelope(body, tuple(by.keys[person].sign(message) for person, _ in chosen))


@lru_cache(maxsize=64)
def town_of(
    n: int,
    window: int,
    epoch_length: int,
    day_seconds: int,
    real_signatures: bool,
    spares: int = 0,
) -> Town:
    """The town of this shape."""
    keys = validator_keys(n, real=real_signatures) + spare_keys(spares, real=real_signatures)
    banks = [
        party_of(f"bank-{i + 1}", (OrganisationKind.BANK, OrganisationKind.CLEARING), Size.LARGE)
        for i in range(max(n, BANKS_MIN) + spares)
    ]
    others = [party_of("core", (OrganisationKind.CORE,), Size.LARGE)]
    others += [
        party_of(
            name, (OrganisationKind.SUPPLIER,), Size.SMALL if name == "devices" else Size.MICRO
        )
        for name in SUPPLIERS
    ]
    others.append(party_of(COURT, (OrganisationKind.COURT_AGENT,), Size.LARGE))
    validators = tuple(
        Validator(bank.id, key.public_key().public_bytes_raw(), bank.name)
        for bank, key in zip(banks, keys[:n], strict=False)
    )
    start_seconds = MONDAY * 86_400 - 8 * 3600 + 10 * 3600
    genesis = Genesis(
        1, "simulated", start_seconds * 1000, MONDAY, day_seconds, window, epoch_length, validators,
        tuple(sorted((founder_of(party) for party in (*banks, *others)), key=lambda o: o.id)), (),
    )  # fmt: skip
    return Town(genesis, genesis_hash(genesis), tuple(keys), n, (*banks, *others))


def party_of(name: str, kinds: tuple[OrganisationKind, ...], size: Size) -> Party:
    people = OWNER if size is Size.MICRO else PEOPLE
    keys = {
        person: Ed25519PrivateKey.from_private_bytes(sha256(f"{name}/{person}".encode()).digest())
        for person in people
    }
    return Party(name, sha256(name.encode()).digest()[:16], kinds, size, keys)


def founder_of(party: Party) -> GenesisOrganisation:
    tag = sha256(b"tag " + party.id).digest()
    people = OWNER if party.size is Size.MICRO else PEOPLE
    keys = tuple(
        GenesisKey(
            sha256(f"person {party.name}/{person}".encode()).digest(), roles, Algorithm.ED25519,
            party.public(person), 0, FOREVER, API_CAP if Role.API in roles else 0,
        )
        for person, roles in people.items()
    )  # fmt: skip
    return GenesisOrganisation(
        party.id, party.kinds, party.size, "trade", "coast", tag, tag, tag, keys
    )
