"""What no proof can say, asked of f+1 validators of different organisations, one of whom is correct: that a list is
whole, that something is not shown to us, that a transaction never happened, and what would happen if we acted now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tallynet.client.errors import ConnectionLost, RequestFailed, StaleAnswer
from tallynet.client.nodes import Nodes
from tallynet.client.trust import Trust
from tallynet.client.unproven import UnprovenDryRun
from tallynet.codec import encode
from tallynet.envelope import EnvelopeBody
from tallynet.errors import RemoteProtocolError
from tallynet.messages import (
    DryRun,
    DryRunResult,
    IndexPage,
    NodeStatus,
    QueryIndex,
    QueryRecord,
    QueryStatus,
    QueryTransaction,
    RecordProof,
    TransactionPhase,
    TransactionState,
)
from tallynet.records import Kind

__all__ = ["agreed_dry_run", "is_refused", "is_unknown", "united_index"]

PAGE_ENTRIES: Final = 500
"""Of an index in one answer, as a node gives at most."""
ENTRIES_MAX: Final = 200_000
"""Of one list: a node that lists without end is not listened to."""


async def united_index(nodes: Nodes, trust: Trust, index: int, prefix: bytes) -> set[bytes]:
    """Every entry that one of f+1 lists: what has been there for a while is among them, since one of them is
    correct. Each entry is proven by reading its record: they may make others up.

    Raises:
        StaleAnswer: LISTS_UNCONFIRMED: too few could be asked.
        RequestFailed: f+1 refuse.
    """
    found: set[bytes] = set()
    operators: set[bytes] = set()
    refused: set[bytes] = set()
    for node in range(len(nodes)):
        try:
            link = await nodes.open(node)
        except ConnectionLost:
            continue
        operator = trust.operator(link.server_key)
        if operator is None:
            continue
        try:
            found |= await _entries(nodes, node, index, prefix)
            operators.add(operator)
        except ConnectionLost:
            continue
        except RequestFailed:
            refused.add(operator)
            if len(refused) >= trust.confirmations_needed:
                raise
        if len(operators) >= trust.confirmations_needed:
            return found
    raise _unconfirmed("a list was to be read", len(operators), trust)


async def _entries(nodes: Nodes, node: int, index: int, prefix: bytes) -> set[bytes]:
    """All entries as one node lists them."""
    found: set[bytes] = set()
    after, more = b"", True
    while more:

        def ask(number: int, after: bytes = after) -> QueryIndex:
            return QueryIndex(number, index, prefix, after, PAGE_ENTRIES)

        def check(page: IndexPage, after: bytes = after) -> IndexPage:
            for entry in page.entries:
                if entry <= after or not entry.startswith(prefix):
                    raise RemoteProtocolError("BAD_ANSWER", "entries that were not asked for")
                after = entry
            if len(found) + len(page.entries) > ENTRIES_MAX:
                raise RemoteProtocolError("BAD_ANSWER", f"a list of more than {ENTRIES_MAX}")
            return page

        page = await nodes.ask_link(await nodes.open(node), ask, IndexPage, check)
        found.update(page.entries)
        more = page.more and bool(page.entries)
        after = page.entries[-1] if page.entries else after
    return found


async def is_refused(nodes: Nodes, trust: Trust, kind: Kind, id: bytes) -> bool:
    """Whether f+1 do not show a record to the key that asks; False as soon as one shows it, or proves that it
    is not there.

    Raises:
        StaleAnswer: LISTS_UNCONFIRMED: too few could be asked.
    """
    operators: set[bytes] = set()
    for node in range(len(nodes)):
        try:
            link = await nodes.open(node)
            await nodes.ask_link(
                link,
                lambda n: QueryRecord(n, kind, id),
                RecordProof,
                lambda answer: trust.record(kind, id, answer),
            )
            return False
        except ConnectionLost:
            continue
        except RequestFailed:
            operator = trust.operator(link.server_key)
            if operator is not None:
                operators.add(operator)
        if len(operators) >= trust.confirmations_needed:
            return True
    raise _unconfirmed("a record is not shown", len(operators), trust)


async def is_unknown(nodes: Nodes, trust: Trust, transaction: bytes, height: int) -> bool:
    """Whether validators of f+1 organisations that have all blocks up to `height` know nothing of a transaction;
    False as soon as one does. If no later block can hold it, it never happened.

    Raises:
        StaleAnswer: LISTS_UNCONFIRMED: too few could be asked.
    """
    operators: set[bytes] = set()
    for node in range(len(nodes)):
        try:
            link = await nodes.open(node)
            status = await link.ask(QueryStatus, NodeStatus)
            state = await nodes.ask_link(
                link, lambda n: QueryTransaction(n, transaction), TransactionState, lambda s: s
            )
        except (ConnectionLost, RequestFailed):
            continue
        if state.phase is not TransactionPhase.UNKNOWN:
            return False
        operator = trust.operator(link.server_key)
        if operator is not None and status.committed >= height:
            operators.add(operator)
        if len(operators) >= trust.confirmations_needed:
            return True
    raise _unconfirmed("a transaction is unknown", len(operators), trust)


async def agreed_dry_run(
    nodes: Nodes,
    trust: Trust,
    body: EnvelopeBody,
    report: Callable[[DryRunResult], UnprovenDryRun],
) -> UnprovenDryRun:
    """What f+1 say alike of an act that is tried out: one node alone could make up a price.

    Raises:
        StaleAnswer: LISTS_UNCONFIRMED: too few could be asked, or they say different things, as around a block.
        RequestFailed: a node refuses.
    """
    raw = encode(body)
    alike: dict[bytes, set[bytes]] = {}
    for node in range(len(nodes)):
        try:
            link = await nodes.open(node)
            found = await nodes.ask_link(link, lambda n: DryRun(n, raw), DryRunResult, report)
        except ConnectionLost:
            continue
        operator = trust.operator(link.server_key)
        if operator is None:
            continue
        operators = alike.setdefault(encode(found.receipt), set())
        operators.add(operator)
        if len(operators) >= trust.confirmations_needed:
            return found
    most = max((len(operators) for operators in alike.values()), default=0)
    raise _unconfirmed("an act was to be tried out", most, trust)


def _unconfirmed(what: str, operators: int, trust: Trust) -> StaleAnswer:
    return StaleAnswer(
        "LISTS_UNCONFIRMED",
        f"{what}, and validators of {operators} of the {trust.confirmations_needed} different organisations"
        " needed answer; name more nodes",
    )
