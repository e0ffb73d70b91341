"""Plans as files and for people: a run that broke a promise is kept as its shrunk plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from tallynet.errors import TallynetError
from tools.simulator.byzantine import BEHAVIOURS
from tools.simulator.options import CALM, Plan
from tools.simulator.variants import variant_of


class PlanError(TallynetError):
    """A plan file cannot be used. Codes: PLAN_UNREADABLE."""


def plan_json(plan: Plan) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(plan)


def write_plan(plan: Plan, path: Path) -> None:
    """Keep a plan; the directory is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(plan_json(plan), indent=1) + b"\n")


def parse_plan(text: bytes, where: str) -> Plan:
    """The plan in a file or a line. `where` is for the error.

    Raises:
        PlanError: PLAN_UNREADABLE.
    """
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanError("PLAN_UNREADABLE", f"{where} holds no plan of a run: {error}") from None
    unknown = sorted({liar.behaviour for liar in plan.liars} - set(BEHAVIOURS))
    if unknown:
        raise PlanError(
            "PLAN_UNREADABLE",
            f"{where} asks for a lie that is not known here: {', '.join(unknown)}",
        )
    return plan


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises PlanError PLAN_UNREADABLE, OSError."""
    return parse_plan(path.read_bytes(), str(path))


def describe_plan(plan: Plan) -> list[str]:
    """Shape, weather, who is faulty, what breaks when: a line each."""
    signatures = "Ed25519" if plan.real_signatures else "keyed hashes"
    lines = [
        f"seed {plan.seed} ({variant_of(plan.seed)}): {plan.n} validators, window {plan.window}",
        f"epochs of {plan.epoch_length} blocks, days of {plan.day_seconds} s",
        f"a storm of {plan.length_ms / 1000:g} s, signatures by {signatures}",
        f"weather: {_weather_text(plan)}; scheduler: {plan.strategy.value}",
    ]
    lines += [f"liar: validator {liar.node} is {liar.behaviour}" for liar in plan.liars]
    if plan.charged:
        lines.append(f"disks that lie: validators {_list(plan.charged)}")
    for fault in plan.faults:
        whom = f" of {fault.node}" if fault.node >= 0 else ""
        lines.append(
            f"at {fault.at_ms / 1000:7.3f} s  {fault.kind.value}{whom} for {fault.length_ms} ms"
        )
    lines.append(f"requests: {len(plan.requests)}")
    if plan.dead:
        lines.append(f"dead for ever when the others heal: validators {_list(plan.dead)}")
    if plan.aftershock:
        lines.append("afterwards the leader dies for ever")
    return lines


def one_line(plan: Plan) -> str:
    """A plan in a few words, for lists."""
    counts = Counter(fault.kind.value for fault in plan.faults)
    parts = [f"n={plan.n} window={plan.window} {plan.length_ms} ms"]
    parts += [f"{liar.node} is {liar.behaviour}" for liar in plan.liars]
    parts += [f"{count} x {kind}" for kind, count in counts.items()]
    parts.append(f"{len(plan.requests)} requests")
    if plan.weather != CALM:
        parts.append(_weather_text(plan))
    if plan.dead:
        parts.append(f"dead: {_list(plan.dead)}")
    if plan.aftershock:
        parts.append("aftershock")
    return ", ".join(parts)


def _weather_text(plan: Plan) -> str:
    weather = plan.weather
    if weather == CALM:
        return "calm"
    parts = [f"delay up to {weather.delay_us / 1000:g} ms"]
    for share, what in (
        (weather.loss, "lost"), (weather.duplicate, "doubled"), (weather.tail, "very late"),
        (weather.flip, "damaged"),
    ):  # fmt: skip
        if share:
            parts.append(f"{share / 10:g} % {what}")
    return ", ".join([*parts, "in order" if weather.fifo else "in any order"])


def _list(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
