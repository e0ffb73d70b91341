"""`python -m tools.bench_pages NETWORK`: what each web page costs a node, on the data of a stopped testnet.

Time of the processor, from the snapshot to the bytes, without network and without waiting: consensus shares the processor
with it. Meant for the network that `tally demo --keep DIR` leaves behind.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from node.door import Answers
from node.store import Snapshot
from node.web.names import Names
from node.web.node_book import NodeBook
from node.web.pages import PAGES, Page
from node.web.plain import encode
from node.web.render import Frame, render
from node.web.standing import Standing
from node.web.texts import Language
from node.web.views.ask import Ask
from tallynet.messages import NodeState, NodeStatus
from tallynet.records import NETWORK_ID, Kind
from tools.audit import stopped_store
from tools.demo_story import CORE
from tools.output import print_rows
from tools.records_by_name import AddressBook
from tools.wallet import NAMES_FILE

ROUNDS: Final = 20


def main(network: Path) -> None:
    book = AddressBook(network)
    with stopped_store(network / "bank-1" / "data") as snapshot:
        rows = [
            (page.path, f"{median_ms(run):.1f}", f"{median_ms(data):.1f}", f"{len(run()):,}")
            for page, run, data in _runs(snapshot, network, book)
        ]
    print_rows("web pages, processor time", ("page", "HTML ms", "JSON ms", "HTML bytes"), rows)


def median_ms(run: Callable[[], Any]) -> float:
    """After one round that fills caches, e.g. compiles the template."""
    run()
    spent: list[float] = []
    for _ in range(ROUNDS):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    return statistics.median(spent) * 1000


def _runs(
    snapshot: Snapshot, network: Path, book: AddressBook
) -> Iterator[tuple[Page, Callable[[], bytes], Callable[[], bytes]]]:
    named = {
        "/vouchers/{id}": {"id": book.record(Kind.VOUCHER, f"{CORE}/v1").hex()},
        "/organisations/{id}": {"id": book.organisation(CORE).hex()},
        "/banks/{id}": {"id": book.organisation("bank-3").hex()},
        "/blocks/{height}": {"height": "20"},
        "/transactions/{id}": {"id": _a_transaction(snapshot)},
    }
    home = book.organisation("bank-1")
    names = Names(network / NAMES_FILE)
    for page in PAGES:
        if page.template:
            given = (page, snapshot, home, names, named.get(page.path, {}))
            yield page, partial(_page, *given), partial(_data, *given)


def _a_transaction(snapshot: Snapshot) -> str:
    book = NodeBook(snapshot, None, Answers.EVERYBODY)
    envelopes = book.envelopes(20, book.block(20).block) or ()
    return envelopes[0].transaction.hex()


def _ask(snapshot: Snapshot, home: bytes, names: Names, path: dict[str, str]) -> Ask:
    book = NodeBook(snapshot, home, Answers.EVERYBODY)
    status = NodeStatus(
        0, "bank-1", home, 0, 0, 0, 0, book.height, bytes(32), bytes(32), book.today, 0, 3, "", NodeState.NORMAL,
        "NOTHING_TO_DO", (), 0, 0, 0, 0,
    )  # fmt: skip
    known = names.known(book.find(Kind.NETWORK, NETWORK_ID))
    return Ask(book, path, {"q": "bank"}, {"node": status, "peers": ()}, known, home)


def _page(page: Page, snapshot: Snapshot, home: bytes, names: Names, path: dict[str, str]) -> bytes:
    ask = _ask(snapshot, home, names, path)
    standing = Standing("bank-1", ask.book.height, 60, "NOTHING_TO_DO")
    frame = Frame(Language.EN, page.path, "?", page.path, standing, False, home, ask.names, None)
    return render(page.template, page.view(ask), frame).encode()


def _data(page: Page, snapshot: Snapshot, home: bytes, names: Names, path: dict[str, str]) -> bytes:
    return encode(page.view(_ask(snapshot, home, names, path)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
