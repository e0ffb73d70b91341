"""One decision of one client: what it sees, and what it does about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
LOOK_MAX: Final = 40
"""Records looked at when choosing one."""

Choice = Callable[[], Sequence[Wire]]
"""The commands of an act, none when there is nothing for it to act on."""


class Act:
    """Base of what the kinds of parties do; every draw comes from the request's own numbers."""

    def __init__(self, town: Town, party: Party, random: Random, view: Overlay) -> None:
        self._town: Final = town
        self._party: Final = party
        self._random: Final = random
        self._view: Final = view
        self._labels = 0

    def choices(self) -> list[Choice]:
        """What this party may do, the likelier acts more than once."""
        return [self._add_key, self._revoke_key, self._policy]

    def commands(self) -> Sequence[Wire]:
        """The commands of one act, or none."""
        order = self.choices()
        self._random.shuffle(order)
        for act in order:
            commands = act()
            if commands:
                return commands
        return ()

    def spoiled(self, commands: Sequence[Wire], valid_until: int, mode: Mode) -> Envelope:
        """The same act with something wrong about it."""
        town, party, random = self._town, self._party, self._random
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
    def _label(self) -> bytes:
        self._labels += 1
        return self._random.getrandbits(48).to_bytes(6, "big") + bytes((self._labels,))

    def _digest(self) -> bytes:
        return self._random.randbytes(32)

    def _get(self, kind: r.Kind, id: bytes) -> Any:
        return self._view.get(kind, id)

    def _scan(self, index: Index, prefix: bytes) -> list[bytes]:
        """What follows the prefix in each key of an index."""
        keys = self._view.index_scan(index, prefix, limit=LOOK_MAX)
        return [key[len(prefix) :] for key in keys]

    def _choose(self, ids: list[bytes]) -> bytes | None:
        return self._random.choice(ids) if ids else None

    @property
    def _today(self) -> int:
        network = self._get(r.Kind.NETWORK, r.NETWORK_ID)
        return int(network.business_date)

    # --- everybody ------------------------------------------------------------------------------

    def _new_key(self, role: r.Role, seed: bytes = b"") -> c.NewKey:
        """A fresh key, or that of a seed, with its proof of possession; nobody signs with it."""
        key = Ed25519PrivateKey.from_private_bytes(seed or self._digest())
        public = key.public_key().public_bytes_raw()
        proof = key.sign(signed_bytes(KIND_REGISTER, self._town.hash, public))
        cap = 1_000 if role is r.Role.API else 0
        return c.NewKey(
            seed or self._digest(), (role,), r.Algorithm.ED25519, public, 0, FOREVER, cap, proof
        )

    def _spare_keys(self) -> list[bytes]:
        """Keys beside those that the party signs with."""
        own = [record_id(r.Kind.KEY, b"", self._party.public(name)) for name in self._party.keys]
        return [
            id
            for id in self._scan(Index.ORGANISATION_KEYS, self._party.id)
            if id not in own and not self._get(r.Kind.KEY, id).revoked
        ]

    def _add_key(self) -> Sequence[Wire]:
        if self._random.random() < 0.9:
            return ()
        spare = self._spare_keys()
        new = self._new_key(self._random.choice((r.Role.MAKER, r.Role.CHECKER, r.Role.API)))
        if spare and self._random.random() < 0.5:
            return (c.KeyRotate(self._label, spare[0], new),)
        return (c.KeyAdd(self._label, new),)

    def _revoke_key(self) -> Sequence[Wire]:
        spare = self._spare_keys()
        if not spare or self._random.random() < 0.8:
            return ()
        return (c.KeyRevoke(self._label, self._random.choice(spare)),)

    def _policy(self) -> Sequence[Wire]:
        """The defaults, spelled out: nobody is locked out."""
        if self._random.random() < 0.95:
            return ()
        rules = (r.PolicyRule(r.CommandClass.LOT, 0, (r.Role.MAKER,), 1),)
        return (c.PolicySet(self._label, rules, None),)
