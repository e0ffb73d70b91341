"""Templates: autoescaped, strict about what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from node.web import picture, shown, words
from node.web.assets import asset
from node.web.fields import told
from node.web.standing import Standing
from node.web.texts import TEXTS, Language, text
from node.web.who import Who
from tallynet.records import (
    FLAG_DISPUTED,
    FLAG_FROZEN,
    FLAG_NO_TRANSFER,
    FLAG_WRITTEN_OFF,
    Kind,
    Lot,
)

__all__ = ["Frame", "fragment", "render"]

_FLAGS: Final = (
    (FLAG_NO_TRANSFER, "NO_TRANSFER"),
    (FLAG_FROZEN, "FROZEN"),
    (FLAG_DISPUTED, "DISPUTED"),
    (FLAG_WRITTEN_OFF, "WRITTEN_OFF"),
)


def _flags(lot: Lot) -> list[str]:
    return [name for bit, name in _FLAGS if lot.flags & bit]


_TEMPLATES: Final = Path(__file__).parent / "templates"
_ENVIRONMENT: Final = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.globals.update(
    asset=asset, slabs=picture.slabs, strata=picture.strata, stratum=picture.STRATUM, width=picture.WIDTH, height_of_picture=picture.HEIGHT, kind_of=Kind, told=told,
    flags_of=_flags, has_text=TEXTS.__contains__,
)  # fmt: skip
_ENVIRONMENT.filters.update(
    amount=shown.amount, day=shown.day, time=shown.time, seconds=shown.seconds, rate=shown.rate,
    short=shown.short, heading=shown.heading,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """What is around the contents of a page."""

    language: Language
    path: str
    """Of this page."""
    query: str
    """What is asked of it but the language, to be gone on with: a link of this alone can lead nowhere else."""
    as_json: str
    """Address of the same as JSON."""
    standing: Standing
    is_light: bool
    home: bytes | None
    names: Mapping[bytes, str]
    who: Who | None
    """None: pages that ask nobody who he is, or nobody yet."""


def render(template: str, data: Mapping[str, Any], frame: Frame) -> str:
    """A whole page."""
    return _ENVIRONMENT.get_template(template).render(_context(frame) | {"data": data})


def fragment(standing: Standing, language: Language) -> str:
    """The banner alone, on one line, as it is replaced in a page."""
    template = _ENVIRONMENT.get_template("_banner.html")
    said = template.render(standing=standing, language=language)
    return " ".join(said.split())


def _context(frame: Frame) -> dict[str, Any]:
    language = frame.language
    other = Language.EN if language is Language.ZH else Language.ZH
    return {
        "frame": frame,
        "standing": frame.standing,
        "language": language,
        "other": other,
        "t": partial(_text, language),
        "w": lambda value: words.word(value, language),
        "spoken": lambda value: words.spoken(value, language),
        "act": lambda name: words.act(name, language),
        "name_of": lambda id: frame.names.get(id, ""),
    }


def _text(language: Language, key: str, **values: object) -> str:
    return text(key, language, **values)
