"""Where the numbers of a running node are read: for metrics and health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from net import Listener, Mesh
from node.machine import Machine
from node.recorder import Recorder
from node.store import Store

__all__ = ["Vitals"]


@dataclass(frozen=True, slots=True)
class Vitals:
    """Each is asked anew whenever it is read: machines, meshes and open stores come and go in a process."""

    name: str
    """Of the node."""
    recorder: Recorder
    machine: Callable[[], Machine]
    mesh: Callable[[], Mesh]
    listener: Callable[[], Listener]
    store: Callable[[], Store]
