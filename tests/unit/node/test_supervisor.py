"""What a node tells systemd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.supervisor import STATUS_BYTES_MAX, Supervisor


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd has one, and its name."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind(name)
        held.setblocking(False)
        yield held, name


def test_it_tells_what_the_protocol_knows(listening: tuple[socket.socket, str]) -> None:
    held, name = listening
    supervisor = Supervisor({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"})
    supervisor.ready()
    supervisor.alive("height 7:\nnothing to do")
    supervisor.stopping()
    assert [held.recv(4096) for _ in range(3)] == [
        b"READY=1", b"WATCHDOG=1\nSTATUS=height 7: nothing to do", b"STOPPING=1",
    ]  # fmt: skip
    assert supervisor.watchdog_seconds == 60


def test_a_long_sentence_is_cut_between_characters(listening: tuple[socket.socket, str]) -> None:
    held, name = listening
    Supervisor({"NOTIFY_SOCKET": name}).alive("凭" * STATUS_BYTES_MAX)
    text = held.recv(4096).partition(b"STATUS=")[2].decode()
    assert text == "凭" * (STATUS_BYTES_MAX // 3)


def test_a_name_in_the_abstract_space() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind("")  # the kernel chooses one
        name = held.getsockname()
        Supervisor({"NOTIFY_SOCKET": "@" + name[1:].decode()}).ready()
        held.setblocking(False)
        assert held.recv(4096) == b"READY=1"


def test_nobody_is_told_where_nobody_supervises_or_the_supervisor_is_gone(tmp_path: Path) -> None:
    Supervisor({}).ready()
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert Supervisor({"WATCHDOG_USEC": "soon"}).watchdog_seconds == 0
