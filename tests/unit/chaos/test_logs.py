"""The acknowledgement log, and what is read from it while the load goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import trio

from tests.unit.chaos.samples import acknowledged
from tools.chaos.endurance import slope_percent
from tools.chaos.record import ACKNOWLEDGED_FILE, Acknowledged, LogReader, LogWriter, read_log
from tools.chaos.tail import Tail


def test_an_unfinished_last_line_never_counted(tmp_path: Path) -> None:
    path = tmp_path / ACKNOWLEDGED_FILE
    with LogWriter(path) as writer:
        writer.append([acknowledged(b"a", 1), acknowledged(b"b", 2)], durable=True)
    whole = path.read_bytes()
    for cut in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_log(path, Acknowledged) == [acknowledged(b"a", 1)], cut


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(path)
    assert list(reader.lines()) == []
    path.write_bytes(b"one\ntw")
    assert list(reader.lines()) == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(reader.lines()) == [b"two", b"three"]


def test_a_tail_counts_commands_and_finds_the_longest_gap(tmp_path: Path) -> None:
    """Acknowledgements at 10, 20 and 50 ns."""
    with LogWriter(tmp_path / ACKNOWLEDGED_FILE) as writer:
        writer.append([acknowledged(b"%d" % i, i) for i in (1, 2, 5)], durable=False)
    tail = Tail(tmp_path)
    tail.poll()
    assert (tail.count, tail.commands, tail.height, tail.view) == (3, 3, 5, (0, 0))
    assert tail.commands_between(10, 50) == 2
    assert tail.commands_between(11, 51) == 2
    assert tail.longest_gap_seconds(10, 50) == 30e-9
    assert tail.longest_gap_seconds(0, 500) == 450e-9
    assert tail.longest_gap_seconds(21, 49) == 28e-9


async def test_a_tail_waits_for_a_later_view_if_asked(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    late = msgspec.structs.replace(acknowledged(b"b", 4), view=1)
    with LogWriter(tmp_path / ACKNOWLEDGED_FILE) as writer:
        writer.append([acknowledged(b"a", 1), late], durable=False)
    with trio.fail_after(5):
        assert await tail.acknowledged_after(5, 1) == 5e-9
        assert await tail.acknowledged_after(5, 1, beyond=(0, 0)) == 35e-9
    assert await tail.acknowledged_after(40, 0.01) is None


def test_the_slope_of_memory_is_that_of_the_last_half() -> None:
    seconds = [float(i) for i in range(101)]
    assert slope_percent(seconds, [50] * 101) == 0
    warm_up = [10 + i for i in range(50)] + [100] * 51
    assert abs(slope_percent(seconds, warm_up)) < 0.1
    growing = [1000 + i for i in range(101)]
    assert round(slope_percent(seconds, growing), 2) == round(100 * 50 / 1075, 2)
    assert slope_percent([1.0], [5]) == 0
