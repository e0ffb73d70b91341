"""A bank without a grant searches its own full copy of the chain, and finds neither document, price nor name.

Four real validators; the story of docs/concepts/privacy.md by its own command blocks. bank-4 holds every block, is
asked for a quote, and is even brought the ciphertext. What must not be found is searched in every value of its
database and in every byte of its files; that the search finds things is shown by what is open.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.store.tables import CHECKSUM_BYTES, TABLES
from tallynet.client.errors import RequestFailed
from tallynet.codec import encode
from tallynet.documents import read_invoice, registration_fields
from tallynet.records import Document, Kind
from tallynet.sealed_line import OpenedState, commitment
from tallynet.sealed_price import discount, price, terms_commitment
from tools.connect import connect, genesis_of
from tools.document_access import grants, reading_keys_of
from tools.kept_documents import document_id, open_kept
from tools.kept_lines import load_states
from tools.onboarding import document
from tools.participant import Participant
from tools.penetration_cli import asking_key
from tools.ports import free_ports
from tools.records_by_name import AddressBook
from tools.sealed_price_cli import load_opening
from tools.testnet_processes import stop_all

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "privacy.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UP, SHOW = "./tally testnet up network\n", "./tally voucher show harbour-tours/v1\n"
STRICT = """sed -i 's/answers = "everybody"/answers = "parties"/' network/bank-*/node.toml
grep -q 'answers = "parties"' network/bank-1/node.toml
"""
"""The nodes answer parties only, as in earnest, so nothing is shown to who does not say who asks."""
SHORT = 6
"""A text of fewer bytes may be anywhere by chance."""
OPEN_FIELDS = {"payable", "gross_total", "net_total", "issue_day", "currency", "format"}
"""Figures that the register act states openly or that are too short to look for."""


def run(text: str, place: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-e", "-c", text],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TALLY_BASE_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The story up to where names are disclosed, the network still running, its directory."""
    place, port = tmp_path_factory.mktemp("privacy"), free_ports(8)
    front = place / "tally"
    front.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tools.cli "$@"\n')
    front.chmod(0o755)
    (place / "tests").symlink_to(ROOT / "tests")
    *story, _ = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    try:
        for block in story:
            done = run(block.replace(UP, STRICT + UP).replace(SHOW, ""), place, port)
            assert done.returncode == 0, block + done.stdout + done.stderr
        more = "./tally document upload --as gate-devices --label inv-1 --node bank-4"
        assert run(more, place, port).returncode == 0
        yield place
    finally:
        if (place / "network" / "network.json").exists():
            stop_all(place / "network")


def document_of(network: Path) -> bytes:
    return AddressBook(network).record(Kind.DOCUMENT, "gate-devices/inv-1")


def secrets(network: Path) -> dict[str, bytes]:
    """What nobody but the parties may be able to read, by what it is."""
    wallets = network / "wallets"
    _, opened = open_kept(wallets / "gate-devices" / "documents" / "inv-1")
    found = {
        path: value
        for path, value in opened.fields.items()
        if len(value) >= SHORT and path not in OPEN_FIELDS
    }
    found["the file"] = opened.source[200:260]
    for wallet in ("gate-devices", "harbour-tours"):
        facts = json.loads((wallets / wallet / "commitments.json").read_text())
        found |= {f"{fact} of {wallet}": known["text"].encode() for fact, known in facts.items()}
    [kept] = (wallets / "bank-2" / "quotes").glob("*.json")
    quote = load_opening(kept)
    assert kept.stem == terms_commitment(quote).hex()
    day = 20_892
    found["rate"] = encode(quote.terms.rate_ppm)
    found["price"] = encode(price(quote.terms, day))
    found["discount"] = encode(discount(quote.terms, day))
    found["salt of the price"] = quote.salt
    for opened in states(network):
        number = opened.state.sequence
        found[f"limit {number}"] = encode(opened.state.granted)
        found[f"use {number}"] = encode(opened.state.used)
        found[f"salt of the line's state {number}"] = opened.salt
    return found


def states(network: Path) -> list[OpenedState]:
    """All that bank-2 keeps of its sealed line."""
    [*kept] = (network / "wallets" / "bank-2" / "lines").glob("*.json")
    found = [state for path in kept for state in load_states(path)]
    assert {commitment(state).hex() for state in found} == {path.stem for path in kept}
    return found


def values(data: Path) -> Iterator[bytes]:
    """Every key and value of every table, chunks included; freed pages are in the files themselves."""
    environment = lmdb.open(str(data), readonly=True, lock=False, max_dbs=len(TABLES))
    try:
        with environment.begin() as transaction:
            for table in TABLES:
                handle = environment.open_db(table.encode(), txn=transaction, create=False)
                with transaction.cursor(handle) as cursor:
                    for key, value in cursor:
                        yield bytes(key)
                        yield bytes(value)[:-CHECKSUM_BYTES]
    finally:
        environment.close()


def found_in(data: Path, needles: dict[str, bytes]) -> set[str]:
    """Which of the needles are in a node's database or in any of its files."""
    haystack = b"\x00".join(values(data))
    files = [path.read_bytes() for path in sorted(data.parent.rglob("*")) if path.is_file()]
    return {
        name
        for name, needle in needles.items()
        if needle in haystack or any(needle in content for content in files)
    }


def test_the_needles_are_real(told: Path) -> None:
    """They are what the parties' wallets hold, and long enough not to be met by chance."""
    needles = secrets(told / "network")
    assert {"seller/name", "buyer/tax_id", "number", "lines/00001/description"} <= needles.keys()
    assert needles["name of gate-devices"] == b"gate-devices"
    assert needles["limit 1"] == encode(76_543_210)
    assert [needles[f"use {n}"] for n in (1, 2)] == [encode(12_345_678), encode(21_345_678)]
    assert len(needles["price"]) == len(needles["discount"]) == len(needles["rate"]) == 5
    assert all(len(needle) >= 5 for needle in needles.values())


@pytest.mark.parametrize("bank", ["bank-4", "bank-1", "bank-3"])
def test_a_bank_finds_nothing_in_its_full_copy_of_the_chain(told: Path, bank: str) -> None:
    """Also one whose node took the ciphertext in, and one that fetched it for a reader."""
    network = told / "network"
    data = network / bank / "data"
    assert list((data / "ciphertexts").glob("*/*")), "the ciphertext is here"
    assert found_in(data, secrets(network)) == set()


def test_the_search_finds_what_is_open(told: Path) -> None:
    """The total, the face that was sold, the labels: a search that finds nothing at all proves nothing."""
    network = told / "network"
    open_things = {
        "total": encode(50_000_000),
        "face sold": encode(9_000_000),
        "label": b"inv-1",
        "id": document_of(network),
    }
    assert found_in(network / "bank-4" / "data", open_things) == open_things.keys()


def test_a_bank_without_a_grant_opens_nothing_and_gets_no_ciphertext(told: Path) -> None:
    done = run("./tally document open --as bank-4 --document gate-devices/inv-1", told, 0)
    assert done.returncode != 0
    assert done.stderr.startswith("NOT_A_READER: ")
    run("./tally key reading --as bank-4", told, 0)
    done = run("./tally document open --as bank-4 --document gate-devices/inv-1", told, 0)
    assert done.stderr.startswith("NOT_A_READER: ")
    network = told / "network"
    key = asking_key(network, AddressBook(network), "bank-4")
    assert trio.run(asked_for_ciphertext, network, key) == "NOT_AUTHORISED"
    stranger = Ed25519PrivateKey.generate()
    assert trio.run(asked_for_ciphertext, network, stranger) == "KEY_UNKNOWN"
    debtor = asking_key(network, AddressBook(network), "harbour-tours")
    assert trio.run(asked_for_ciphertext, network, debtor) == "given"


async def asked_for_ciphertext(network: Path, key: Ed25519PrivateKey) -> str:
    """What bank-4's own node, which has the file, says to this key."""
    id = document_of(network)
    async with connect(network, key=key, only="bank-4") as client:
        try:
            document = await client.read(Kind.DOCUMENT, id)
            assert isinstance(document, Document)
            await client.ciphertext(Kind.DOCUMENT, id, document.ciphertext_hash)
        except RequestFailed as error:
            return error.code
    return "given"


def test_the_requests_other_bank_learns_no_price_from_the_requests_records(told: Path) -> None:
    """bank-4 was asked in the same request; the quote of bank-2 was for the holder alone."""
    done = run("./tally financing requests --as bank-4", told, 0)
    assert "6.6173" not in done.stdout
    done = run("./tally financing price --as bank-4 --financing gate-devices/s1", told, 0)
    assert done.returncode != 0


def test_the_bank_signs_no_use_beyond_its_sealed_limit(told: Path) -> None:
    """Its own program refuses, so the line is as it was; an instant draw is refused by the chain."""
    ask = (
        "./tally financing request --as gate-devices --label r2 --voucher harbour-tours/v1"
        " --amount 1000.00 --payee gate-devices/main --purpose goods --funders bank-2"
    )
    assert run(ask, told, 0).returncode == 0
    done = run(
        "./tally financing quote-sealed --as bank-2 --request gate-devices/r2 --rate 5%"
        " --valid-to 2027-03-17 --lines debtor-exposure", told, 0,
    )  # fmt: skip
    assert done.stderr.startswith("LINE_EXCEEDED: ")
    assert run("./tally line check audit.json --as harbour-tours", told, 0).returncode == 0


def test_an_opened_line_is_checked_against_the_newest_commitment(told: Path) -> None:
    """What was true before the last change is not taken for true now; nobody else can open the line."""
    done = run("./tally line check line.json --as harbour-tours", told, 0)
    assert done.stderr.startswith("LINE_STATE_MALFORMED: ")
    line = "--line debtor-exposure:bank-2:harbour-tours"
    asked = run(f"./tally line open --as bank-4 {line}", told, 0)
    assert asked.stderr.startswith("NOT_AUTHORISED: "), asked.stderr
    held = run(f"./tally line open --as harbour-tours {line}", told, 0)
    assert held.stderr.startswith("FILE_MISSING: "), held.stderr


def test_a_reader_to_whom_a_ciphertext_lies_finds_out_and_says_so_on_the_chain(told: Path) -> None:
    """gate-devices registers one invoice, encrypts another, and grants bank-2 the key of it."""
    network = told / "network"
    id = trio.run(registered_with_a_lie, network)
    opening = f"./tally document open --as bank-2 --document {id.hex()}"
    done = run(opening, told, 0)
    assert "DOCUMENT_ROOT_MISMATCH" in done.stderr
    assert "tally document complain" in done.stderr
    complaint = f"./tally document complain --as bank-2 --document {id.hex()} --fields number"
    done = run(complaint + " --output json", told, 0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["commands"][0]["code"] == "OK"
    again = run(complaint, told, 0)
    assert again.stderr.startswith("STATE_CONFLICT: ")


async def registered_with_a_lie(network: Path) -> bytes:
    book, salt, key = AddressBook(network), os.urandom(32), os.urandom(32)
    said, hidden = (
        registration_fields(read_invoice(source), source, document_salt=salt, document_key=key)
        for source in (
            (ROOT / "tests" / "data" / "invoices" / name).read_bytes()
            for name in ("einvoice-discount.xml", "einvoice-exempt.xml")
        )
    )
    id, parties = (
        document_id(said),
        [book.organisation(n) for n in ("gate-devices", "harbour-tours")],
    )
    register = msgspec.structs.replace(
        document(b"inv-2", said, parties[0], parties[1]), ciphertext_hash=hidden.ciphertext_hash
    )
    asking = asking_key(network, book, "gate-devices")
    async with connect(network, key=asking) as client:
        owner = Participant(network, "gate-devices", client, genesis_of(network)[1])
        grantees = await reading_keys_of(client, book, [book.organisation("bank-2")])
        await client.put_ciphertext(Kind.DOCUMENT, id, hidden.ciphertext)
        await owner.act(register, *grants(id, key, os.urandom(32), grantees))
    return id


def test_the_audit_of_the_chain_agrees_with_sealed_prices_and_lines(told: Path) -> None:
    """Last: the page's last block opens a name and stops the network. The money model follows commitments, and
    nothing else is different."""
    *_, ending = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    done = run(ending, told, 0)
    assert done.returncode == 0, done.stderr
    assert "gate-devices" in done.stdout
    for bank in ("bank-2", "bank-4"):
        done = run(f"./tally audit network/{bank}", told, 0)
        assert done.returncode == 0, done.stdout + done.stderr
