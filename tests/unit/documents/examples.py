"""Where the example invoices are: our own invented ones, and real ones when they lie at hand."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "tests" / "data" / "invoices"
BROKEN = OWN / "broken"
REAL = ROOT.parent / "shared" / "invoices"


def own_examples() -> list[Path]:
    return sorted(OWN.glob("*.xml"))


def broken_examples() -> list[Path]:
    return sorted(BROKEN.glob("*.xml"))


def real_examples() -> list[Path]:
    return sorted(REAL.glob("*/*.xml")) if REAL.is_dir() else []
