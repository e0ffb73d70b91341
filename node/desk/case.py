"""One act as it takes shape: who is asked for what in which form, and what commands come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from node.desk.chain import Chain
from node.desk.entered import Entered
from node.desk.office import KeptDocument
from node.light.copy import Copy
from node.web.shown import amount, day, short
from node.web.texts import Language
from tallynet.codec import Wire
from tallynet.records import Instruction, Kind, Lot, Voucher, lot_id

__all__ = ["Action", "Case", "Choice", "Draft", "Fact", "Field", "Form"]


@dataclass(frozen=True, slots=True)
class Field:
    """Something to be entered."""

    name: str
    """Also the key of its text, `enter_NAME`."""
    form: str
    """amount, rate, day, text, organisation, choice, choices, file."""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to know before one enters anything."""

    name: str
    """Key of its text."""
    form: str
    """money, day, org, text."""
    value: Any


@dataclass(frozen=True, slots=True)
class Form:
    fields: Sequence[Field]
    facts: Sequence[Fact] = ()
    choices: Mapping[str, Sequence[Choice]] = field(default_factory=dict)
    """By field."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """By field, what stands there at first."""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    currency: str
    amount: int
    """What it is about, in the currency's smallest unit; with whom: by these a proposal is known in a list."""
    with_whom: bytes
    """Empty: several."""
    commands: Sequence[Wire]
    notes: Sequence[tuple[str, str]] = ()
    """Key of a text, and what was read."""
    document: KeptDocument | None = None


@final
@dataclass(frozen=True, slots=True)
class Case:
    chain: Chain
    copy: Copy
    names: Mapping[bytes, str]
    language: Language
    entered: Entered
    label: bytes
    """Of what is made."""
    upload: bytes = b""
    """The file that was sent along; empty: none."""

    @property
    def home(self) -> bytes:
        return self.chain.home

    def name(self, organisation: bytes) -> str:
        return self.names.get(organisation) or short(organisation)

    def notes(self, facts: Sequence[Fact], currency: str) -> list[tuple[str, str]]:
        """For whoever checks: what the commands name by ids only."""
        return [(fact.name, self._said(fact, currency)) for fact in facts]

    def _said(self, fact: Fact, currency: str) -> str:
        match fact.form:
            case "money":
                return f"{amount(fact.value, currency)} {currency}"
            case "day":
                return day(fact.value)
            case "org":
                return self.name(fact.value)
            case _:
                return str(fact.value)

    async def voucher(self) -> tuple[bytes, Voucher]:
        """The one that the address names. Raises FieldError, ChainError."""
        id = self.entered.id("voucher")
        return id, await self.chain.require(Voucher, Kind.VOUCHER, id)

    async def lot(self) -> tuple[bytes, Voucher, Lot]:
        """The one that begins where the address says. Raises FieldError, ChainError."""
        id, voucher = await self.voucher()
        start = self.entered.number("start")
        lot = await self.chain.require(Lot, Kind.LOT, lot_id(id, start))
        return id, voucher, lot

    async def instruction(self) -> tuple[bytes, Instruction]:
        """The one that the address names. Raises FieldError, ChainError."""
        id = self.entered.id("instruction")
        return id, await self.chain.require(Instruction, Kind.INSTRUCTION, id)


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    """In addresses."""
    act: str
    """Of the command, whose words are its title."""
    about: tuple[str, ...]
    """What the address says it is about."""
    form: Callable[[Case], Awaitable[Form]]
    build: Callable[[Case], Awaitable[Draft]]

    def subject(self, entered: Entered) -> str:
        """So that nothing is proposed twice unseen; empty: nothing is there yet that it could be about."""
        return (
            ":".join((self.name, *(entered.get(name) for name in self.about))) if self.about else ""
        )
