"""The plot of latency by throughput, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 50, 60
_LINES: Final = (("p50", "#2166ac"), ("p99", "#b2182b"))
_TICKS_X: Final = 6
"""At most so many steps of the horizontal axis."""
_FONT: Final = 'font-family="sans-serif" font-size="13"'
_INK, _GRID = "#333333", "#dddddd"


@dataclass(frozen=True, slots=True)
class Point:
    """What a network did with one offered load."""

    per_second: float
    """Committed."""
    p50_ms: float
    p99_ms: float


def plot(points: Sequence[Point], title: str) -> str:
    """An SVG of median and 99th percentile, the vertical axis logarithmic. `points` are in order of what was
    offered: beyond the highest throughput a line turns back."""
    axes = _Axes.of(points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {_FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 28, title, "start", size=16),
        *axes.drawn(),
    ]
    for number, (name, colour) in enumerate(_LINES):
        values = [p.p50_ms if name == "p50" else p.p99_ms for p in points]
        places = [(axes.x(p.per_second), axes.y(ms)) for p, ms in zip(points, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        y = TOP + 18 + 20 * number
        parts.append(
            f'<line x1="{LEFT + 16}" y1="{y - 4}" x2="{LEFT + 44}" y2="{y - 4}" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
        parts.append(_text(LEFT + 52, y, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class _Axes:
    """Places of values."""

    right: float
    """Largest throughput on the axis."""
    step: float
    low: float
    high: float
    """Latencies at the ends of the axis, ms."""

    @classmethod
    def of(cls, points: Sequence[Point]) -> _Axes:
        fastest = max(p.per_second for p in points)
        step = _round_up(fastest / _TICKS_X)
        latencies = [ms for p in points for ms in (p.p50_ms, p.p99_ms)]
        low = _round_up(min(latencies) / 2.5)
        return cls(step * math.ceil(fastest / step), step, low, _round_up(max(latencies)))

    def x(self, per_second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * per_second / self.right

    def y(self, ms: float) -> float:
        share = math.log(max(ms, self.low) / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def drawn(self) -> list[str]:
        """Grid, numbers and names."""
        parts: list[str] = []
        bottom = HEIGHT - BOTTOM
        for tick in range(round(self.right / self.step) + 1):
            x = self.x(tick * self.step)
            parts.append(_line(x, TOP, x, bottom))
            parts.append(_text(x, bottom + 20, f"{tick * self.step:,.0f}", "middle"))
        ms = self.low
        while ms <= self.high * 1.001:
            parts.append(_line(LEFT, self.y(ms), WIDTH - RIGHT, self.y(ms)))
            parts.append(_text(LEFT - 8, self.y(ms) + 4, f"{ms:g}", "end"))
            ms = _round_up(ms * 1.01)
        parts.append(
            _text(
                (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "commands per second, committed", "middle"
            )
        )
        middle = (TOP + bottom) / 2
        parts.append(
            f'<text x="20" y="{middle:.0f}" text-anchor="middle" fill="{_INK}"'
            f' transform="rotate(-90 20 {middle:.0f})">latency, ms (logarithmic)</text>'
        )
        return parts


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ... that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9))


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_GRID}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_INK}">'
        f"{text}</text>"
    )
