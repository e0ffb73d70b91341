"""`/livez` and `/readyz`: for supervisors and load balancers.

A node that lost its quorum, or whose disk is full, is not helped by being started again: `/livez` says only
that the process answers. `/readyz` says whether clients are served well here, and if not, why not.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from consensus.statistics import ReplicaStatistics, ReplicaStatus
from node.store import StoreStatistics
from node.store.errors import DISK_LOW_BYTES
from node.vitals import Vitals
from tallynet.blocks import quorum

__all__ = ["health_routes", "why_not_ready"]

BEHIND_MAX: Final = 10
"""Blocks: what a busy network makes in a second, so that a node in step does not flicker."""
MAP_FULL_PERCENT: Final = 95
"""From here on a large block may not fit the database's map."""
_STOPPED: Final = (ReplicaStatus.DIVERGED, ReplicaStatus.RETIRED)


def why_not_ready(
    replica: ReplicaStatistics,
    store: StoreStatistics,
    *,
    reached: int,
    validators: int,
    fetching: str,
) -> list[tuple[str, str]]:
    """(code, sentence) of all that is in the way; empty: ready. `reached` nodes can be sent to; `validators` is
    the size of the set; `fetching` says how far the fetch of a state is."""
    reasons: list[tuple[str, str]] = []
    if replica.status in _STOPPED:
        reasons.append((replica.status.name, replica.status.value))
    if fetching:
        reasons.append(("FETCHING_STATE", fetching))
    elif replica.behind > BEHIND_MAX:
        reasons.append(("BEHIND", f"{replica.behind} blocks behind the others"))
    if replica.status is ReplicaStatus.OBSERVER:
        if not reached:
            reasons.append(("NOBODY_REACHED", "none of the nodes that it follows can be reached"))
    elif reached + 1 < quorum(validators):
        reasons.append(
            (
                "NO_QUORUM",
                f"{reached + 1} of {validators} validators seen, {quorum(validators)} needed",
            )
        )
    if store.disk_free_bytes < DISK_LOW_BYTES:
        reasons.append(("DISK_FULL", f"{store.disk_free_bytes >> 20} MiB free on the disk"))
    percent = 100 * store.used_bytes // store.map_bytes
    if percent >= MAP_FULL_PERCENT:
        reasons.append(("MAP_FULL", f"{percent} % of the database map used: raise map_gib"))
    return reasons


def health_routes(vitals: Vitals) -> list[Route]:
    async def live(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(_request: Request) -> Response:
        machine = vitals.machine()
        reasons = why_not_ready(
            machine.replica.statistics(),
            vitals.store().statistics(),
            reached=vitals.mesh().connected(),
            validators=len(machine.life.voters.keys),
            fetching=machine.fetching,
        )
        body: dict[str, Any] = {
            "ready": not reasons,
            "height": machine.executor.head.height,
            "reasons": [{"code": code, "message": message} for code, message in reasons],
        }
        return JSONResponse(body, 503 if reasons else 200)

    return [Route("/livez", live), Route("/readyz", ready)]
