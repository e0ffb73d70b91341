"""Text can be read by everybody: contrast of at least 4.5 (WCAG 2.2, 1.4.3), in light and in dark."""

from __future__ import annotations

import re

import pytest

from node.web.assets import STATIC

LEAST = 4.5
SHEET = (STATIC / "app.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", part))
    for part in SHEET.split("@media (prefers-color-scheme: dark)")
)
PAIRS = (
    ("ink", "paper"), ("ink", "sheet"), ("quiet", "paper"), ("quiet", "sheet"), ("accent", "paper"), ("accent", "sheet"),
    ("well", "well-ground"), ("ill", "ill-ground"), ("ill", "paper"), ("on-bar", "held"), ("on-bar", "pending"),
    ("on-bar", "pledged"), ("on-bar", "redeemed"), ("on-bar", "claim"), ("on-light", "cancelled"), ("ink", "rule"),
)  # fmt: skip


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("text", "ground"), PAIRS, ids="-on-".join)
@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
def test_text_stands_out(scheme: dict[str, str], text: str, ground: str) -> None:
    one, other = sorted((luminance(scheme[text]), luminance(scheme[ground])))
    assert (other + 0.05) / (one + 0.05) >= LEAST
