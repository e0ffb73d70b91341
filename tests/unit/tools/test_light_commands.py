"""Commands of programs by their words on the command line: the same names, units and refusals as there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tallynet.commands import LotTransfer, Piece, VoucherClaim
from tallynet.hashing import record_id
from tallynet.records import Kind
from tools.arguments import UsageError
from tools.light_cli import command_by_words, print_outcome
from tools.records_by_name import AddressBook

ACTING, RECEIVER = b"a" * 16, b"r" * 16
TRANSFER: dict[str, Any] = {
    "label": "l", "voucher": (b"v" * 16).hex(), "start": "3",
    "pieces": [f"{RECEIVER.hex()}:300.00"],
}  # fmt: skip


def build(words: str, options: dict[str, Any]) -> object:
    return command_by_words(AddressBook(Path("nowhere")), ACTING, words, options)


def test_amounts_and_ids_are_written_as_on_the_command_line() -> None:
    piece = Piece(RECEIVER, 30_000, None)
    assert build("lot transfer", TRANSFER) == LotTransfer(b"l", b"v" * 16, 3, (piece,))


def test_a_text_stands_for_a_list_of_one() -> None:
    single = TRANSFER | {"pieces": TRANSFER["pieces"][0]}
    assert build("lot transfer", single) == build("lot transfer", TRANSFER)


def test_options_have_the_defaults_of_the_command_line() -> None:
    claim = build("voucher claim", {"label": "l", "voucher": (b"v" * 16).hex()})
    assert isinstance(claim, VoucherClaim)
    assert claim.voucher == b"v" * 16


@pytest.mark.parametrize(
    ("words", "options", "text"),
    [
        ("lot eat", TRANSFER, "no command 'lot eat'"),
        ("lot transfer", TRANSFER | {"piece": "x"}, "takes no 'piece'"),
        ("lot transfer", TRANSFER | {"pieces": [3]}, "a text or a list of texts"),
        ("lot transfer", TRANSFER | {"pieces": 3}, "a text or a list of texts"),
        ("lot transfer", TRANSFER | {"start": 3}, "start: a text"),
        ("lot transfer", TRANSFER | {"label": 3}, "label: a text"),
        ("lot transfer", {"label": "l", "voucher": "00" * 16, "start": "0"}, "--pieces is missing"),
        ("voucher claim", {"label": "l"}, "--voucher is missing"),
        ("lot transfer", TRANSFER | {"pieces": [f"{RECEIVER.hex()}:0.001"]}, "is no amount"),
    ],
)
def test_what_the_command_line_would_refuse_is_refused(
    words: str, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text) as refused:
        build(words, options)
    assert refused.value.code == "USAGE"


def test_a_record_is_named_by_owner_and_label(tmp_path: Path) -> None:
    owner = (b"o" * 16).hex()
    book = AddressBook(tmp_path)
    built = command_by_words(book, ACTING, "lot transfer", TRANSFER | {"voucher": f"{owner}/v1"})
    assert isinstance(built, LotTransfer)
    assert built.voucher == record_id(Kind.VOUCHER, b"o" * 16, b"v1")


def test_texts_of_an_uploaded_file_are_neither_markup_nor_control(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {
        "row": 2, "id": "[bold]a\x1b[2J", "state": "NOT_SENT", "code": "COMMAND_INVALID", "message": "x\x07",
        "what_to_do": "y",
    }  # fmt: skip
    print_outcome(Path("f.csv"), {"rows": 1, "counts": {"NOT_SENT": 1}, "results": [row]})
    printed = capsys.readouterr().out
    assert "[bold]a\ufffd[2J" in printed and "\x1b[2J" not in printed and "\x07" not in printed
