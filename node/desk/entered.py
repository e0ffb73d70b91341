"""What a person has entered in a form, read strictly. What cannot be read is named by its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import Final, TypeVar, final

from node.web.shown import EPOCH, EXPONENTS
from tallynet.errors import TallynetError
from tallynet.fields import AMOUNT_MAX

__all__ = ["Entered", "FieldError"]

TEXT_CHARACTERS_MAX: Final = 200
_AMOUNT: Final = re.compile(r"([0-9]{1,17}|[0-9]{1,3}(?:[,，][0-9]{3}){1,5})(?:\.([0-9]{1,6}))?")
"""A comma stands before three digits, or `1,50` would be read as 150."""
_ID: Final = re.compile("[0-9a-f]{32}")
_RATE: Final = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,4}))?\s*%?")
E = TypeVar("E", bound=IntEnum)


class FieldError(TallynetError):
    """FIELD_MISSING, FIELD_AMOUNT, FIELD_DAY, FIELD_NAME, FIELD_CHOICE, FIELD_RATE, FIELD_LONG, FIELD_SUM;
    `field` is meant."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code, field)
        self.field: Final = field


@final
class Entered:
    def __init__(self, fields: Mapping[str, str], names: Mapping[bytes, str]) -> None:
        """`names`: the address book."""
        self.fields: Final = fields
        known = list(names.values())
        self._ids: Final = {name: id for id, name in names.items() if known.count(name) == 1}
        """Who is meant by a name that stands for two?"""

    def get(self, field: str) -> str:
        """Empty when nothing was entered."""
        found = self.fields.get(field, "").strip()
        if len(found) > TEXT_CHARACTERS_MAX:
            raise FieldError("FIELD_LONG", field)
        return found

    def text(self, field: str) -> str:
        found = self.get(field)
        if not found:
            raise FieldError("FIELD_MISSING", field)
        return found

    def amount(self, field: str, currency: str) -> int:
        """`500,000.00` -> 50000000 fen; exact, above zero."""
        exponent = EXPONENTS.get(currency, 2)
        match = _AMOUNT.fullmatch(self.text(field))
        if match is None or len(match[2] or "") > exponent:
            raise FieldError("FIELD_AMOUNT", field)
        major = match[1].replace(",", "").replace("，", "")
        units = int(major + (match[2] or "").ljust(exponent, "0"))
        if not 0 < units <= AMOUNT_MAX:
            raise FieldError("FIELD_AMOUNT", field)
        return units

    def day(self, field: str) -> int:
        """`2027-05-31` -> days since 1970-01-01."""
        try:
            return (date.fromisoformat(self.text(field)) - EPOCH).days
        except ValueError:
            raise FieldError("FIELD_DAY", field) from None

    def rate(self, field: str) -> int:
        """`4.35 %` a year -> 43500 ppm."""
        match = _RATE.fullmatch(self.text(field))
        if match is None:
            raise FieldError("FIELD_RATE", field)
        return int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0"))

    def organisation(self, field: str) -> bytes:
        """By its name in the address book, or its id."""
        said = self.text(field)
        found = self._ids.get(said)
        if found is None and _ID.fullmatch(said):
            return bytes.fromhex(said)
        if found is None:
            raise FieldError("FIELD_NAME", field)
        return found

    def id(self, field: str) -> bytes:
        """Of a record, as a form offered it."""
        said = self.text(field)
        if not _ID.fullmatch(said):
            raise FieldError("FIELD_CHOICE", field)
        return bytes.fromhex(said)

    def ids(self, field: str) -> list[str]:
        """Of several, as a form with boxes to tick offered them: `FIELD.ID` for each."""
        found = [name.partition(".")[2] for name in self.fields if name.startswith(f"{field}.")]
        if not found:
            raise FieldError("FIELD_MISSING", field)
        if not all(_ID.fullmatch(id) for id in found):
            raise FieldError("FIELD_CHOICE", field)
        return found

    def number(self, field: str) -> int:
        said = self.text(field)
        if not (said.isascii() and said.isdigit() and len(said) <= 18):
            raise FieldError("FIELD_CHOICE", field)
        return int(said)

    def word(self, field: str, kind: type[E]) -> E:
        said = self.text(field)
        if said not in kind.__members__:
            raise FieldError("FIELD_CHOICE", field)
        return kind[said]
