"""The record of what was written: it outlives the process, whole lines only, and is one process's at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bank.record import DIRECTORY, RECORD, Act, Line, opened
from tools.bank.references import reference_of
from tools.wallet import WALLETS, WalletError

ID = b"i" * 16


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / WALLETS / "bank-2").mkdir(parents=True)
    return tmp_path


def line(act: Act, part: int, amount: int, source: str = "M-1") -> Line:
    return Line(act, reference_of(ID, part), ID.hex(), amount, "CNY", source)


def test_what_is_handed_out_is_what_was_written_and_not_rejected(network: Path) -> None:
    with opened(network, "bank-2") as record:
        record.append([line(Act.WRITTEN, 1, 400), line(Act.WRITTEN, 2, 600)])
    with opened(network, "bank-2") as record:
        assert (record.handed_out(ID), record.parts(ID)) == (1000, 2)
        record.append([line(Act.REJECTED, 2, 600)])
        assert (record.handed_out(ID), record.parts(ID)) == (400, 2)
        assert record.unconfirmed(ID) == [(1, 400)]
    with opened(network, "bank-2") as record:
        assert record.is_rejected(reference_of(ID, 2).upper())
        assert record.handed_out(b"j" * 16) == 0


def test_written_again_it_is_the_same_payment(network: Path) -> None:
    with opened(network, "bank-2") as record:
        record.append([line(Act.WRITTEN, 1, 400), line(Act.WRITTEN, 1, 400, "M-2")])
        assert (record.handed_out(ID), record.parts(ID)) == (400, 1)
        assert [each.source for each in record.of_file("M-2")] == ["M-2"]


def test_a_line_that_a_crash_cut_off_is_dropped(network: Path) -> None:
    path = network / WALLETS / "bank-2" / DIRECTORY / RECORD
    with opened(network, "bank-2") as record:
        record.append([line(Act.WRITTEN, 1, 400)])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    with opened(network, "bank-2") as record:
        assert record.handed_out(ID) == 400
        record.append([line(Act.CONFIRMED, 1, 400, "R-1")])
    with opened(network, "bank-2") as record:
        assert record.is_confirmed(reference_of(ID, 1))
        assert not record.is_confirmed(reference_of(ID, 2))


def test_a_spoilt_line_stops_everything(network: Path) -> None:
    with opened(network, "bank-2") as record:
        record.append([line(Act.WRITTEN, 1, 400)])
    path = network / WALLETS / "bank-2" / DIRECTORY / RECORD
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(WalletError, match="record"), opened(network, "bank-2"):
        pass


def test_one_process_at_a_time(network: Path) -> None:
    with (
        opened(network, "bank-2"),
        pytest.raises(WalletError, match="another command"),
        opened(network, "bank-2"),
    ):
        pass
