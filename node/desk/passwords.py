"""Hashes of passwords: scrypt (RFC 7914), off the event loop, a bounded number at once."""

from __future__ import annotations

import hmac
import secrets
from hashlib import scrypt
from typing import Final, final

import msgspec
import trio

from tallynet.errors import TallynetError

__all__ = ["CHARACTERS_MAX", "Hash", "PasswordError", "Passwords", "hash_password"]

CHARACTERS_MIN: Final = 10
CHARACTERS_MAX: Final = 128
"""Longer ones say no more, and each is hashed."""
COST, BLOCK, PARALLEL = 2**15, 8, 3
"""32 MiB and some 0.3 s each: the OWASP recommendation for this much memory."""
MEMORY_MAX: Final = 64 * 1024 * 1024
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
AT_ONCE_MAX: Final = 2
"""64 MiB; sign-ins beyond wait for their turn."""
WAITING_MAX: Final = 8
"""Sign-ins that wait: three seconds' worth."""


class PasswordError(TallynetError):
    """PASSWORD_WEAK: too short or too long; BUSY: too many sign in at once."""


class Hash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With its parameters, so that those of tomorrow can be other ones."""

    salt: bytes
    hash: bytes
    cost: int = COST
    block: int = BLOCK
    parallel: int = PARALLEL


def hash_password(password: str) -> Hash:
    """Raises PasswordError PASSWORD_WEAK."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise PasswordError(
            "PASSWORD_WEAK",
            f"a password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters; choose another one",
        )
    salt = secrets.token_bytes(SALT_BYTES)
    return Hash(salt, _scrypt(password, Hash(salt, b"")))


def _scrypt(password: str, like: Hash) -> bytes:
    return scrypt(
        password.encode(), salt=like.salt, n=like.cost, r=like.block, p=like.parallel,
        maxmem=MEMORY_MAX, dklen=HASH_BYTES,
    )  # fmt: skip


@final
class Passwords:
    """Checks them for one process."""

    def __init__(self) -> None:
        self._turn: Final = trio.CapacityLimiter(AT_ONCE_MAX)
        self._nobody: Final = Hash(secrets.token_bytes(SALT_BYTES), bytes(HASH_BYTES))
        """What no password gives: whoever has no account takes as long as who has one."""
        self._waiting = 0

    async def fits(self, password: str, known: Hash | None) -> bool:
        """Whether it is the password; `known` None: of nobody. Raises PasswordError BUSY."""
        if self._waiting >= WAITING_MAX:
            raise PasswordError("BUSY", "too many sign in at once; try again")
        self._waiting += 1
        try:
            said = await trio.to_thread.run_sync(
                _scrypt, password[:CHARACTERS_MAX], known or self._nobody, limiter=self._turn
            )
        finally:
            self._waiting -= 1
        return hmac.compare_digest(said, (known or self._nobody).hash) and known is not None
