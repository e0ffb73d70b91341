"""One decision of one client: what it sees, and what it does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.ledger.own_indexes import DAY_BYTES
from node.state import Overlay
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tallynet.hashing import record_id, signed_bytes
from tallynet.signatures import KIND_REGISTER
from tools.simulator.town import FOREVER, Party, Town

CURRENCY: Final = "CNY"
REUSED_OF_256: Final = 128
"""Share of payments whose receipt number was used before, perhaps."""
LOOK_MAX: Final = 40
"""Records looked at when choosing one."""

Choice = Callable[[], Sequence[Wire]]
"""The commands of an act, none when there is nothing for it to act on."""


class Act:
    """Base of what the kinds of parties do; every draw comes from the request's own numbers."""

    def __init__(self, town: Town, party: Party, random: Random, view: Overlay) -> None:
        self.town: Final = town
        self.party: Final = party
        self.random: Final = random
        self.view: Final = view
        self._labels = 0

    def choices(self) -> list[Choice]:
        """What this party may do, the likelier acts more than once."""
        return [self._add_key, self._revoke_key, self._policy]

    def commands(self) -> Sequence[Wire]:
        """The commands of one act, or none."""
        order = self.choices()
        self.random.shuffle(order)
        for act in order:
            commands = act()
            if commands:
                return commands
        return ()

    def spoiled(self, commands: Sequence[Wire], valid_until: int, mode: Mode) -> Envelope:
        """The same act with something wrong about it."""
        town, party, random = self.town, self.party, self.random
        kind = random.randrange(5)
        if kind == 0:
            return town.envelope(party, commands, valid_until - 1_000, mode=mode)
        if kind == 1:
            return town.envelope(party, commands, valid_until + 200_000, mode=mode)
        if kind == 2:
            others = [p for p in town.clients if p.id != party.id]
            return town.envelope(random.choice(others), commands, valid_until, mode=mode)
        if kind == 3:
            return town.envelope(
                party, commands, valid_until, mode=mode, signers=[("machine", r.Role.API)]
            )
        return town.envelope(party, [*commands, *commands], valid_until, mode=mode)

    # --- helpers --------------------------------------------------------------------------------

    @property
    def label(self) -> bytes:
        self._labels += 1
        return self.random.getrandbits(48).to_bytes(6, "big") + bytes((self._labels,))

    def digest(self) -> bytes:
        return self.random.randbytes(32)

    def bank_receipt(self) -> bytes:
        """Of a payment. Some banks number theirs from one again every morning; each may be used once (I8)."""
        fresh = self.digest()
        return bytes((fresh[1] % 2,)) * 32 if fresh[0] < REUSED_OF_256 else fresh

    def get(self, kind: r.Kind, id: bytes) -> Any:
        return self.view.get(kind, id)

    def scan(self, index: Index, prefix: bytes) -> list[bytes]:
        """What follows the prefix in each key of an index."""
        keys = self.view.index_scan(index, prefix, limit=LOOK_MAX)
        return [key[len(prefix) :] for key in keys]

    def choose(self, ids: list[bytes]) -> bytes | None:
        return self.random.choice(ids) if ids else None

    @property
    def today(self) -> int:
        """The business date."""
        network = self.get(r.Kind.NETWORK, r.NETWORK_ID)
        return int(network.business_date)

    def lots(self, *states: r.LotState) -> Iterator[tuple[bytes, r.Lot]]:
        """(voucher, lot) of what the party holds in one of these states."""
        for id in self.lot_ids(self.party):
            lot = self.get(r.Kind.LOT, id)
            if isinstance(lot, r.Lot) and lot.state in states:
                yield id[:16], lot

    def lot_ids(self, holder: Party) -> list[bytes]:
        """Of what is still to be paid to a holder."""
        return [key[DAY_BYTES:] for key in self.scan(Index.OPEN_LOTS, holder.id)]

    def choose_lot(self) -> tuple[bytes, r.Lot] | None:
        """(voucher, lot) of something held; now and then of a voucher that circulates no more."""
        held = list(self.lots(r.LotState.HELD))
        active = [
            (voucher, lot)
            for voucher, lot in held
            if self.get(r.Kind.VOUCHER, voucher).status is r.VoucherStatus.ACTIVE
        ]
        if active and self.random.random() < 0.9:
            held = active
        return self.random.choice(held) if held else None

    def verified_account(self) -> bytes | None:
        """One of the party's accounts that may be paid to."""
        return self.choose(
            [
                id
                for id in self.scan(Index.ORGANISATION_ACCOUNTS, self.party.id)
                if self.get(r.Kind.ACCOUNT, id).status is r.AccountStatus.VERIFIED
            ]
        )

    # --- everybody ------------------------------------------------------------------------------

    def _new_key(self, role: r.Role, seed: bytes = b"") -> c.NewKey:
        """A fresh key, or that of a seed, with its proof of possession; nobody signs with it."""
        key = Ed25519PrivateKey.from_private_bytes(seed or self.digest())
        public = key.public_key().public_bytes_raw()
        proof = key.sign(signed_bytes(KIND_REGISTER, self.town.hash, public))
        cap = 1_000 if role is r.Role.API else 0
        return c.NewKey(
            seed or self.digest(), (role,), r.Algorithm.ED25519, public, 0, FOREVER, cap, proof
        )

    def _spare_keys(self) -> list[bytes]:
        """Keys beside those that the party signs with."""
        own = [record_id(r.Kind.KEY, b"", self.party.public(name)) for name in self.party.keys]
        return [
            id
            for id in self.scan(Index.ORGANISATION_KEYS, self.party.id)
            if id not in own and not self.get(r.Kind.KEY, id).revoked
        ]

    def _add_key(self) -> Sequence[Wire]:
        if self.random.random() < 0.9:
            return ()
        spare = self._spare_keys()
        new = self._new_key(self.random.choice((r.Role.MAKER, r.Role.CHECKER, r.Role.API)))
        if spare and self.random.random() < 0.5:
            return (c.KeyRotate(self.label, spare[0], new),)
        return (c.KeyAdd(self.label, new),)

    def _revoke_key(self) -> Sequence[Wire]:
        spare = self._spare_keys()
        if not spare or self.random.random() < 0.8:
            return ()
        return (c.KeyRevoke(self.label, self.random.choice(spare)),)

    def _policy(self) -> Sequence[Wire]:
        """The defaults, spelled out: nobody is locked out."""
        if self.random.random() < 0.95:
            return ()
        rules = (r.PolicyRule(r.CommandClass.LOT, 0, (r.Role.MAKER,), 1),)
        return (c.PolicySet(self.label, rules, None),)
