"""One organisation acting on the network: its wallet, the right signers, a verified answer."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.ledger import execute as _families  # registers every rule
from node.ledger.rulebook import RULES, Rule, Signers
from tallynet.client import Client
from tallynet.codec import Wire, encode
from tallynet.envelope import Envelope, EnvelopeBody, Mode, Signer, seal_envelope
from tallynet.errors import TallynetError
from tallynet.hashing import signed_bytes
from tallynet.receipts import CommandReceipt, EnvelopeReceipt
from tallynet.records import Kind, Role
from tallynet.signatures import KIND_ENVELOPE
from tools.wallet import Person, Wallet, WalletError, load_wallet, private_key

__all__ = ["Outcome", "Participant", "Refusal", "Signatory", "signers_for"]

VALID_SECONDS: Final = 120
"""How long an envelope signed on the spot stays valid (voucher law §5)."""
_RULES_LOADED: Final = _families.__name__


class Refusal(TallynetError):
    """The network ordered the act and refused it; `code` is the receipt's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A certified result."""

    transaction: bytes
    height: int
    seconds: float
    """From sending to the verified receipt."""
    receipt: EnvelopeReceipt

    @property
    def codes(self) -> tuple[str, ...]:
        """Code per command; one code for an envelope that was not admitted."""
        if self.receipt.code != "OK":
            return (self.receipt.code,)
        return tuple(command.code for command in self.receipt.commands)

    @property
    def first(self) -> CommandReceipt:
        return self.receipt.commands[0]

    def created(self, kind: Kind) -> bytes:
        """Id of the first record of this kind that the act created."""
        for command in self.receipt.commands:
            for item in command.created:
                if item.kind == kind:
                    return item.id
        raise LookupError(f"nothing of kind {kind.name} was created")


def new_label() -> bytes:
    """A random label, for acts that nobody will look up by name."""
    return os.urandom(12)


def signers_for(wallet: Wallet, rules: Sequence[Rule]) -> list[tuple[Person, Role]]:
    """Which people of a wallet sign, and as what, to satisfy the default policies of these rules.

    A one-person shop signs alone. Raises WalletError SIGNERS_MISSING when the people do not suffice.
    """
    needed: list[Role] = []
    for rule in rules:
        if rule.signers is Signers.ANY:
            person = wallet.people[0]
            return [(person, person.role_set[0])]
        if rule.signers is Signers.AD2:
            admins = [person for person in wallet.people if Role.ADMIN in person.role_set]
            return [(person, Role.ADMIN) for person in admins[:2]]
        needed += [role for role in rule.signers.roles if role not in needed]
    chosen: list[tuple[Person, Role]] = []
    for role in needed:
        free = [p for p in wallet.people if role in p.role_set and p not in [c[0] for c in chosen]]
        if free:
            chosen.append((free[0], role))
        elif len(wallet.people) > 1 or not chosen:
            raise WalletError(
                "SIGNERS_MISSING", f"wallet {wallet.name} has nobody free to sign as {role.name}"
            )
    return chosen


class Signatory:
    """An organisation with its wallet: what it signs."""

    def __init__(self, network: Path, name: str, genesis: bytes) -> None:
        self.network: Final = network
        self._genesis: Final = genesis
        self._name: Final = name
        self._keys: Final[dict[str, Ed25519PrivateKey]] = {}

    @cached_property
    def wallet(self) -> Wallet:
        return load_wallet(self.network, self._name)

    @property
    def id(self) -> bytes:
        return self.wallet.id

    def key(self, person: Person) -> Ed25519PrivateKey:
        if person.name not in self._keys:
            self._keys[person.name] = private_key(self.network, self.wallet, person)
        return self._keys[person.name]

    def envelope(
        self,
        commands: Sequence[Wire],
        *,
        mode: Mode = Mode.ATOMIC,
        signers: Sequence[tuple[Person, Role]] | None = None,
        valid_until: int | None = None,
    ) -> Envelope:
        """Sign commands of this organisation."""
        chosen = signers or signers_for(self.wallet, [RULES[type(c)] for c in commands])
        body = EnvelopeBody(
            1,
            self._genesis,
            self.id,
            mode,
            tuple(commands),  # type: ignore[arg-type]  # Wire members of the Command union
            valid_until or int(time.time()) + VALID_SECONDS,
            tuple(Signer(person.key_id, role) for person, role in chosen),
        )
        message = signed_bytes(KIND_ENVELOPE, self._genesis, encode(body))
        return seal_envelope(body, tuple(self.key(person).sign(message) for person, _ in chosen))


class Participant(Signatory):
    """An organisation with its wallet and a client connection."""

    def __init__(self, network: Path, name: str, client: Client, genesis: bytes) -> None:
        super().__init__(network, name, genesis)
        self.client: Final = client

    async def submit(self, envelope: Envelope) -> Outcome:
        """Send and wait for the certified receipt, whatever it says."""
        started = time.perf_counter()
        receipt = await self.client.submit(envelope)
        return Outcome(
            envelope.transaction,
            receipt.height,
            time.perf_counter() - started,
            receipt.receipt,
        )

    async def act(
        self, *commands: Wire, signers: Sequence[tuple[Person, Role]] | None = None
    ) -> Outcome:
        """Sign, send, wait; raises Refusal unless every command is OK."""
        outcome = await self.submit(self.envelope(commands, signers=signers))
        for code in outcome.codes:
            if code != "OK":
                raise Refusal(code, f"refused in block {outcome.height}")
        return outcome
