"""`/metrics`: the numbers of a node in the form that Prometheus reads.

`METRICS` is the one list of names; what is not in it cannot be exported, and docs/reference/metrics.md is made
from it. Labels take few values: names of validators, codes and tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final, NamedTuple

import trio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consensus.statistics import ReplicaStatus, WaitingReason
from node.recorder import EVENTS, SECONDS, Distribution, Total
from node.vitals import Vitals
from tallynet.handshake import software_fingerprint

__all__ = ["METRICS", "NodeCollector", "metrics_routes"]


RENDER_SECONDS: Final = 1.0
"""Between two renderings, which take the event loop 4 ms each: more who ask get the same text."""


class Metric(NamedTuple):
    kind: Callable[..., Family]
    help: str
    labels: tuple[str, ...] = ()


_G: Final = GaugeMetricFamily
_C: Final = CounterMetricFamily
_H: Final = HistogramMetricFamily
_S: Final = SummaryMetricFamily
METRICS: Final[dict[str, Metric]] = {
    "tallynet_node_info": Metric(
        _G, "1; who this is and what it runs", ("name", "role", "software")
    ),
    # consensus
    "tallynet_consensus_height": Metric(_G, "newest durable block"),
    "tallynet_consensus_epoch": Metric(_G, "epoch of the next block"),
    "tallynet_consensus_view": Metric(_G, "view of the epoch"),
    "tallynet_consensus_leader": Metric(_G, "1: this validator leads the view"),
    "tallynet_consensus_validators": Metric(_G, "size of the validator set"),
    "tallynet_consensus_state": Metric(_G, "1 for the state that the node is in", ("state",)),
    "tallynet_consensus_waiting": Metric(
        _G, "1 for the reason why no block is being committed right now", ("reason",)
    ),
    "tallynet_consensus_behind_blocks": Metric(_G, "blocks that f+1 others are known to have more"),
    "tallynet_consensus_in_flight_blocks": Metric(_G, "accepted blocks above the newest one"),
    "tallynet_consensus_failed_views": Metric(_G, "view changes since the last block"),
    "tallynet_consensus_block_time_seconds": Metric(_G, "unix time in the newest block"),
    "tallynet_consensus_evidence_proofs": Metric(_G, "proofs of misbehaviour kept"),
    "tallynet_consensus_blocks_total": Metric(_C, "blocks made durable by this process"),
    "tallynet_consensus_transactions_total": Metric(
        _C, "transactions in them; not admitted: the law did not let them take effect", ("outcome",)
    ),
    "tallynet_consensus_events_total": Metric(
        _C, "events of the log (docs/operate/logs.md)", ("event",)
    ),
    "tallynet_consensus_rejected_messages_total": Metric(
        _C, "messages of other nodes that broke a rule", ("reason",)
    ),
    "tallynet_consensus_commit_latency_seconds": Metric(
        _H, "from the acceptance of a proposal here until its block is durable here"
    ),
    "tallynet_consensus_vote_verify_seconds": Metric(_S, "checks of signatures of votes"),
    "tallynet_consensus_clock_skew_seconds": Metric(
        _G,
        "a validator's clock minus ours when its last Status came in; a block may be 2 s off",
        ("peer",),
    ),
    "tallynet_loop_lag_seconds": Metric(
        _H, "how late the event loop comes to what is due, looked at 50 times a second"
    ),
    # work
    "tallynet_execute_block_seconds": Metric(_H, "execution of a block"),
    "tallynet_transaction_latency_seconds": Metric(
        _H, "from a client's submit here until its receipt is sent; one transaction in sixteen"
    ),
    "tallynet_client_handling_seconds": Metric(
        _S, "work on what one read of a client's connection brought, signatures included"
    ),
    "tallynet_client_requests_total": Metric(_C, "requests of clients", ("kind",)),
    "tallynet_client_refusals_total": Metric(_C, "requests and envelopes refused", ("code",)),
    "tallynet_pool_received_total": Metric(
        _C, "envelopes taken in, some of them again", ("origin",)
    ),
    "tallynet_pool_expired_total": Metric(_C, "envelopes that expired while they waited"),
    "tallynet_pool_refused_total": Metric(_C, "envelopes for which there was no room"),
    "tallynet_pool_transactions": Metric(_G, "envelopes in the pool"),
    "tallynet_pool_bytes": Metric(_G, "bytes of them"),
    "tallynet_pool_organisations": Metric(_G, "organisations that they are of"),
    # network
    "tallynet_peers_connected": Metric(_G, "nodes that can be sent to now"),
    "tallynet_peer_connected": Metric(_G, "1: the link to this node is up", ("peer",)),
    "tallynet_peer_connects_total": Metric(_C, "times it was opened", ("peer",)),
    "tallynet_peer_sent_bytes_total": Metric(_C, "bytes sent on it", ("peer",)),
    "tallynet_peer_dropped_messages_total": Metric(
        _C, "messages that did not fit its queue", ("peer",)
    ),
    "tallynet_peer_queued_bytes": Metric(_G, "bytes waiting in it", ("peer",)),
    "tallynet_peer_received_messages_total": Metric(
        _C, "messages that this validator sent", ("peer",)
    ),
    "tallynet_peer_received_bytes_total": Metric(_C, "bytes of them", ("peer",)),
    "tallynet_peer_invalid_messages_total": Metric(_C, "of those, invalid ones", ("peer",)),
    "tallynet_connections": Metric(_G, "open connections", ("kind",)),
    "tallynet_connections_accepted_total": Metric(_C, "connections given a place"),
    "tallynet_connections_refused_total": Metric(_C, "connections turned away"),
    "tallynet_connections_faults_total": Metric(_C, "connections ended for breaking the protocol"),
    "tallynet_connections_internal_errors_total": Metric(
        _C, "connections ended by a fault of ours"
    ),
    "tallynet_keys_banned": Metric(_G, "keys shut out for a minute"),
    # store
    "tallynet_store_write_seconds": Metric(_H, "one durable transaction, disk sync included"),
    "tallynet_store_used_bytes": Metric(_G, "of the database map"),
    "tallynet_store_map_bytes": Metric(_G, "its size, map_gib"),
    "tallynet_store_rows": Metric(_G, "entries", ("table",)),
    "tallynet_store_disk_free_bytes": Metric(_G, "left to this process on the disk"),
    "tallynet_store_vote_barred": Metric(_G, "1: this key must not vote with this database"),
    "tallynet_state_fetching": Metric(_G, "1: the state is being fetched from other nodes"),
}
"""Beside these, what prometheus-client says of the process: `process_...`, `python_...`."""


class _Families:
    """Families of one scrape, in the order of METRICS."""

    def __init__(self) -> None:
        self._made: Final[dict[str, Any]] = {
            name: metric.kind(name.removesuffix("_total"), metric.help, labels=metric.labels)
            for name, metric in METRICS.items()
        }

    def put(self, name: str, value: float, *labels: str) -> None:
        self._made[name].add_metric(labels, value)

    def distribution(self, name: str, found: Distribution) -> None:
        bounds = (*map(str, SECONDS), "+Inf")
        buckets = list(zip(bounds, accumulate(found.counts), strict=True))
        self._made[name].add_metric((), buckets, found.total)

    def total(self, name: str, found: Total) -> None:
        self._made[name].add_metric((), found.count, found.total)

    def all(self) -> Iterable[Family]:
        return self._made.values()


class NodeCollector(Collector):
    """Reads a node's numbers whenever Prometheus asks. On the event loop, as everything that reads them."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals: Final = vitals

    def collect(self) -> Iterator[Family]:
        families = _Families()
        _consensus(families, self._vitals)
        _work(families, self._vitals)
        _links(families, self._vitals)
        _connections(families, self._vitals)
        _store(families, self._vitals)
        yield from families.all()

    def describe(self) -> Iterable[Family]:
        """Nothing: the registry would read all numbers before there is a machine."""
        return ()


def _consensus(families: _Families, vitals: Vitals) -> None:
    machine, recorder, put = vitals.machine(), vitals.recorder, families.put
    numbers, life, head = machine.replica.statistics(), machine.life, machine.executor.head
    role = "observer" if life.observes else "validator"
    put("tallynet_node_info", 1, vitals.name, role, software_fingerprint())
    put("tallynet_consensus_height", head.height)
    put("tallynet_consensus_epoch", numbers.epoch)
    put("tallynet_consensus_view", numbers.view)
    put("tallynet_consensus_leader", not life.observes and numbers.leader == life.index)
    put("tallynet_consensus_validators", len(life.voters.keys))
    for status in ReplicaStatus:
        put("tallynet_consensus_state", status is numbers.status, status.name.lower())
    for reason in WaitingReason:
        put("tallynet_consensus_waiting", reason is numbers.waiting.reason, reason.name.lower())
    put("tallynet_consensus_behind_blocks", numbers.behind)
    put("tallynet_consensus_in_flight_blocks", numbers.in_flight)
    put("tallynet_consensus_failed_views", numbers.failed_views)
    put("tallynet_consensus_block_time_seconds", head.time_ms / 1000)
    put("tallynet_consensus_evidence_proofs", numbers.evidence)
    put("tallynet_consensus_blocks_total", recorder.blocks)
    put("tallynet_consensus_transactions_total", recorder.admitted, "admitted")
    put("tallynet_consensus_transactions_total", recorder.not_admitted, "not admitted")
    for event in EVENTS:
        put("tallynet_consensus_events_total", recorder.events[event], event)
    for code, count in numbers.refused_by_code:
        put("tallynet_consensus_rejected_messages_total", count, code)
    families.distribution("tallynet_consensus_commit_latency_seconds", recorder.commit_latency)
    families.total("tallynet_consensus_vote_verify_seconds", recorder.vote_checks)
    put("tallynet_state_fetching", bool(machine.fetching))
    families.distribution("tallynet_loop_lag_seconds", recorder.loop_lag)
    for name in machine.voters:
        if name in recorder.clock_skew:
            put("tallynet_consensus_clock_skew_seconds", recorder.clock_skew[name], name)


def _work(families: _Families, vitals: Vitals) -> None:
    recorder, put = vitals.recorder, families.put
    families.distribution("tallynet_execute_block_seconds", recorder.execution)
    families.distribution("tallynet_transaction_latency_seconds", recorder.transaction_latency)
    families.total("tallynet_client_handling_seconds", recorder.clients_handled)
    for kind, count in sorted(recorder.requests.items(), key=lambda item: item[0].__name__):
        put("tallynet_client_requests_total", count, str(kind.__struct_config__.tag))  # type: ignore[attr-defined]
    for code, count in sorted(recorder.refusals.items()):
        put("tallynet_client_refusals_total", count, code)
    for origin in ("client", "observer", "validator"):
        put("tallynet_pool_received_total", recorder.received_from[origin], origin)
    put("tallynet_pool_expired_total", recorder.expired)
    pool = vitals.machine().pool
    put("tallynet_pool_refused_total", pool.refused)
    put("tallynet_pool_transactions", pool.envelopes)
    put("tallynet_pool_bytes", pool.bytes)
    put("tallynet_pool_organisations", pool.organisations)


def _links(families: _Families, vitals: Vitals) -> None:
    put, names = families.put, vitals.machine().sources
    links = vitals.mesh().statistics().links
    put("tallynet_peers_connected", sum(link.connected for link in links))
    for link in links:
        name = names[link.index]
        put("tallynet_peer_connected", link.connected, name)
        put("tallynet_peer_connects_total", link.connects, name)
        put("tallynet_peer_sent_bytes_total", link.sent_bytes, name)
        put("tallynet_peer_dropped_messages_total", link.dropped, name)
        put("tallynet_peer_queued_bytes", link.queued_bytes, name)


def _connections(families: _Families, vitals: Vitals) -> None:
    put, names = families.put, vitals.machine().voters
    listener = vitals.listener().statistics()
    for peer in listener.peers:
        name = names[peer.index]
        put("tallynet_peer_received_messages_total", peer.messages, name)
        put("tallynet_peer_received_bytes_total", peer.bytes, name)
        put("tallynet_peer_invalid_messages_total", peer.invalid, name)
    put("tallynet_connections", sum(peer.connected for peer in listener.peers), "validator")
    put("tallynet_connections", len(listener.clients), "client")
    put("tallynet_connections", len(listener.observers), "observer")
    put("tallynet_connections", listener.half_open, "half open")
    put("tallynet_connections_accepted_total", listener.accepted)
    put("tallynet_connections_refused_total", listener.refused)
    put("tallynet_connections_faults_total", listener.faults)
    put("tallynet_connections_internal_errors_total", listener.internal_errors)
    put("tallynet_keys_banned", listener.banned)


def _store(families: _Families, vitals: Vitals) -> None:
    store, put = vitals.store(), families.put
    numbers = store.statistics()
    families.distribution("tallynet_store_write_seconds", vitals.recorder.write)
    put("tallynet_store_used_bytes", numbers.used_bytes)
    put("tallynet_store_map_bytes", numbers.map_bytes)
    for table, rows in sorted(numbers.rows.items()):
        put("tallynet_store_rows", rows, table)
    put("tallynet_store_disk_free_bytes", numbers.disk_free_bytes)
    put("tallynet_store_vote_barred", bool(store.vote_bar))


def metrics_routes(vitals: Vitals) -> list[Route]:
    registry = CollectorRegistry()
    registry.register(NodeCollector(vitals))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)

    newest = (-RENDER_SECONDS, b"")

    async def metrics(_request: Request) -> Response:
        nonlocal newest
        now = trio.current_time()
        if now - newest[0] >= RENDER_SECONDS:
            newest = (now, generate_latest(registry))
        return Response(newest[1], media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics)]
