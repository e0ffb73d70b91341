"""`python -m tools.chaos.byzantine_node DIRECTORY BEHAVIOUR`: a real validator with a traitor at its mouth.

Everything below the outlet is the shipped node: it keeps its store, executes, and believes that it
says what it says. Only the traitor between machine and mesh distorts what leaves (`traitor`), from the
moment it gets SIGUSR1: so a network can be measured first, with the later traitor as its leader. The
shipped node has no switch for this.
"""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path
from typing import Final

import trio

from net import Mesh
from node import logs
from node.config import load_config
from node.machine import Peers
from node.validator import Validator
from tools.chaos.traitor import ALL, TRAITORS, Hand, Traitor

UNPROMPTED_SECONDS: Final = 0.02
"""Fifty times a second."""


class _Mouth:
    """What the machine takes for the mesh."""

    def __init__(self, mesh: Mesh, traitor: Traitor) -> None:
        self._mesh: Final = mesh
        self._traitor: Final = traitor
        self.turned = False

    def send(self, to: int, message: bytes) -> None:
        self._say(to, message)

    def broadcast(self, message: bytes) -> None:
        self._say(ALL, message)

    def connected(self) -> int:
        return self._mesh.connected()

    def _say(self, to: int, message: bytes) -> None:
        if not self.turned:
            self.put(to, message)
            return
        for target, distorted in self._traitor.distort(to, message):
            self.put(target, distorted)

    def put(self, to: int, message: bytes) -> None:
        if to == ALL:
            self._mesh.broadcast(message)
        else:
            self._mesh.send(to, message)


class ByzantineValidator(Validator):
    """The shipped validator, overheard and misquoted."""

    def __init__(self, directory: Path, behaviour: str) -> None:
        super().__init__(directory)
        keys = [validator.public_key for validator in self.genesis.validators]
        hand = Hand(
            self._key.sign,
            self.genesis_hash,
            keys.index(self.public_key),
            len(keys),
            trio.current_time,
        )
        self._traitor: Final = TRAITORS[behaviour](hand, random.Random(self.public_key))
        self._mouth: _Mouth | None = None

    def _peers(self, mesh: Mesh) -> Peers:
        self._mouth = _Mouth(mesh, self._traitor)
        return self._mouth

    async def turn(self) -> None:
        """Wait for SIGUSR1; then let the traitor speak, prompted and unprompted, until cancelled."""
        with trio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                break
        while True:
            await trio.sleep(UNPROMPTED_SECONDS)
            if self._mouth is not None:
                self._mouth.turned = True
                for to, message in self._traitor.unprompted():
                    self._mouth.put(to, message)


async def run(
    directory: Path, behaviour: str, make: type[ByzantineValidator] = ByzantineValidator
) -> None:
    """Run until SIGTERM."""
    logs.configure(load_config(directory).name)
    validator = make(directory, behaviour)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(validator.run)
        nursery.start_soon(validator.turn)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return


if __name__ == "__main__":
    trio.run(run, Path(sys.argv[1]), sys.argv[2])
