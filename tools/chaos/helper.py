"""A child process that says a line when it is ready and answers every line with a line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
import trio

from tools.chaos.network import ChaosError
from tools.testnet_processes import ROOT

READ_BYTES: Final = 64 * 1024
END_SECONDS_MAX: Final = 5.0
"""Relay and load end as soon as their input does; then they are killed."""

T = TypeVar("T", bound=msgspec.Struct)


class Helper:
    """Made by `helper`."""

    def __init__(self, name: str, process: trio.Process) -> None:
        self._name: Final = name
        self._process: Final = process
        self._lock: Final = trio.Lock()
        self._rest = b""

    async def ask(self, order: msgspec.Struct, answer: type[T], *, seconds: float) -> T:
        """Send an order, wait for its answer. Raises ChaosError HELPER_FAILED."""
        async with self._lock:
            await self.tell(order)
            return await self.hear(answer, seconds=seconds)

    async def tell(self, order: msgspec.Struct) -> None:
        """Send an order that is not answered."""
        if self._process.stdin is None:
            raise self._failed("has no input")
        try:
            await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._failed("ended") from None

    async def hear(self, answer: type[T], *, seconds: float) -> T:
        """The next line. Raises ChaosError HELPER_FAILED."""
        with trio.move_on_after(seconds):
            while b"\n" not in self._rest:
                data: bytes | bytearray = b""
                if self._process.stdout is not None:
                    data = await self._process.stdout.receive_some(READ_BYTES)
                if not data:
                    raise self._failed("ended; what went wrong stands above")
                self._rest += data
            line, _, self._rest = self._rest.partition(b"\n")
            return msgspec.json.decode(line, type=answer)
        raise self._failed(f"did not answer within {seconds:g} s")

    def _failed(self, what: str) -> ChaosError:
        return ChaosError("HELPER_FAILED", f"the {self._name} process {what}")


@asynccontextmanager
async def helper(name: str, argument: str) -> AsyncIterator[Helper]:
    """Run `python -m tools.chaos.NAME ARGUMENT` until the block is left. It has a session of its own:
    Ctrl-C reaches it through the end of its input."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", f"tools.chaos.{name}", argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        yield Helper(name, process)
    finally:
        with trio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            with trio.move_on_after(END_SECONDS_MAX):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
