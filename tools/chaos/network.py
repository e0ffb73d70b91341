"""The network of a chaos run: made by the run itself, on the loopback address, and ended with it.

There is no way to name an existing network: what is killed, corrupted and rolled back here was made by
`ChaosNetwork.make` a moment ago, in a directory of its own (reliability §3).
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from tallynet.blocks import faulty_max
from tallynet.errors import TallynetError
from tools import testnet_processes
from tools.bench_network import loopback_plan
from tools.chaos.links import LOOPBACK
from tools.testnet_files import NetworkFile, init

EXIT_SECONDS_MAX: Final = 30.0
"""A node that is expected to end by itself does so in this time."""


class ChaosError(TallynetError):
    """The run could not be carried out; this says nothing about the network."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a node is started; the default is the shipped node."""

    module: str = "node.run"
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """A node that ended although nobody ended it."""

    name: str
    code: int | None
    log_end: str


class ChaosNetwork:
    """Validators by name, in order of validator index, and what is being done to them."""

    def __init__(self, directory: Path, file: NetworkFile) -> None:
        """Use `make`."""
        self.directory: Final = directory
        self.file: Final = file
        self.names: Final = tuple(node.name for node in file.nodes)
        self.launches: Final[dict[str, Launch]] = {}
        """Nodes that are started in another way."""
        self.up: Final[set[str]] = set()
        """Nodes that ought to run."""
        self.paused: Final[set[str]] = set()
        self.barred: Final[dict[str, int]] = {}
        """Nodes that must not vote, with the height above which no certificate may hold a signature of
        theirs: what they signed before lies at most a window above what was committed then."""
        self.starts: Final[list[float]] = []
        """Seconds of each start, up to listening."""
        self._processes: Final[dict[str, subprocess.Popen[bytes]]] = {}
        self._reported: Final[set[int]] = set()

    @classmethod
    def make(cls, directory: Path, validators: int) -> ChaosNetwork:
        """A new network in a directory that does not exist yet; nothing runs.

        Raises:
            ChaosError: DIRECTORY_EXISTS, NOT_LOOPBACK.
        """
        if directory.exists():
            raise ChaosError("DIRECTORY_EXISTS", f"{directory} exists; name one that does not")
        file = init(loopback_plan(directory, validators, "chaos"))
        for node in file.nodes:
            if node.host != LOOPBACK:
                raise ChaosError("NOT_LOOPBACK", f"{node.name} would listen on {node.host}")
        return cls(directory, file)

    @property
    def faulty_max(self) -> int:
        return faulty_max(len(self.names))

    @property
    def window(self) -> int:
        genesis = msgspec.json.decode((self.directory / "genesis.json").read_bytes())
        return int(genesis["window"])

    def path(self, name: str) -> Path:
        return self.directory / name

    def data(self, name: str) -> Path:
        return self.directory / name / "data"

    def index(self, name: str) -> int:
        return self.names.index(name)

    def links(self) -> list[tuple[int, int]]:
        """Every directed pair of validators."""
        n = len(self.names)
        return [(i, j) for i in range(n) for j in range(n) if i != j]

    def set_up(self, setting: str, value: int) -> None:
        """A number for every node's configuration. Only before the nodes start."""
        for name in self.names:
            path = self.path(name) / "node.toml"
            head, table, tail = path.read_text(encoding="utf-8").partition("\n[limits]")
            path.write_text(f"{head}{setting} = {value}\n{table}{tail}", encoding="utf-8")

    def rewire(self, ports: Mapping[tuple[int, int], int]) -> None:
        """Node i dials `ports[i, j]` instead of node j. Only before the nodes start."""
        for i, name in enumerate(self.names):
            path = self.path(name) / "node.toml"
            head = path.read_text(encoding="utf-8").partition("\n[[peers]]")[0]
            peers = "".join(
                f'\n[[peers]]\npublic_key = "{peer.public_key}"\nhost = "{LOOPBACK}"\n'
                f"port = {ports[i, j]}\n"
                for j, peer in enumerate(self.file.nodes)
                if j != i
            )
            path.write_text(head + peers, encoding="utf-8")

    # --- processes ------------------------------------------------------------------------------

    def start(self, names: Iterable[str]) -> None:
        """Start nodes and wait until each listens.

        Raises:
            TestnetError: NODE_FAILED.
        """
        began = time.monotonic()
        offsets = {}
        for name in names:
            offsets[name] = self.log_size(name)
            self._launch(name)
        for name, offset in offsets.items():
            process = self._processes[name]
            testnet_processes.wait_until_listening(self.path(name), process, offset)
            self.starts.append(time.monotonic() - began)

    def start_and_fail(self, name: str) -> tuple[int, dict[str, Any]]:
        """Start a node that is expected to end at once; returns its exit code and last log entry.

        Raises:
            ChaosError: STILL_RUNS.
        """
        self._launch(name)
        return self.wait_end(name)

    def wait_end(self, name: str) -> tuple[int, dict[str, Any]]:
        """Wait until a node ends by itself; returns its exit code and last log entry.

        Raises:
            ChaosError: STILL_RUNS.
        """
        self.up.discard(name)
        return self._wait(name), self.log_entries(name)[-1]

    def _wait(self, name: str) -> int:
        try:
            return self._processes[name].wait(EXIT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise ChaosError("STILL_RUNS", f"{name} should have ended and runs") from None

    def _launch(self, name: str) -> None:
        launch = self.launches.get(name, Launch())
        self._processes[name] = testnet_processes.start(
            self.directory,
            name,
            module=launch.module,
            arguments=launch.arguments,
            environment=launch.environment,
        )
        self.up.add(name)

    def kill(self, names: Sequence[str]) -> None:
        """kill -9, all at once; returns when they are gone."""
        for name in names:
            self.up.discard(name)
            self.paused.discard(name)
            self._processes[name].send_signal(signal.SIGKILL)
        for name in names:
            self._wait(name)

    def terminate(self, name: str) -> int:
        """Ask a node to end; returns its exit code.

        Raises:
            ChaosError: STILL_RUNS.
        """
        self.up.discard(name)
        self._processes[name].send_signal(signal.SIGTERM)
        return self._wait(name)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._processes[name].send_signal(signal.SIGSTOP)
        self.paused.add(name)

    def resume(self, names: Iterable[str]) -> None:
        """SIGCONT."""
        for name in list(names):
            self._processes[name].send_signal(signal.SIGCONT)
            self.paused.discard(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Any other signal."""
        self._processes[name].send_signal(number)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def ended(self) -> list[Ended]:
        """Nodes that ended by themselves since the last call."""
        found = []
        for name in sorted(self.up):
            process = self._processes[name]
            code = process.poll()
            if code is not None and process.pid not in self._reported:
                self._reported.add(process.pid)
                lines = self.log_text(name).strip().splitlines()
                found.append(Ended(name, code, "\n".join(lines[-3:])))
        return found

    def memory(self, name: str) -> tuple[int, int]:
        """(resident bytes, of these anonymous) of a running node; the rest are pages of the database
        file, which the kernel takes back when it needs them."""
        info = psutil.Process(self.pid(name)).memory_info()
        for line in Path(f"/proc/{self.pid(name)}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return info.rss, int(line.split()[1]) * 1024
        raise ChaosError("NO_RSS", "this kernel does not tell anonymous memory apart")

    # --- logs -----------------------------------------------------------------------------------

    def log_size(self, name: str) -> int:
        log = self.path(name) / "node.log"
        return log.stat().st_size if log.exists() else 0

    def log_text(self, name: str, offset: int = 0) -> str:
        return testnet_processes.log_since(self.path(name), offset)

    def log_entries(self, name: str, offset: int = 0) -> list[dict[str, Any]]:
        """The node's log from byte `offset` on. Lines that are no JSON, like a traceback, come as the
        event `unstructured`, what LMDB says of a damaged page in the scan's child process as `lmdb
        assertion`; a line that a kill cut off is left out."""
        lines = self.log_text(name, offset).split("\n")
        entries = []
        for line in lines:
            try:
                entries.append(dict(msgspec.json.decode(line)))
            except (msgspec.DecodeError, ValueError, TypeError):
                if line.strip() and not line.startswith("{"):
                    lmdb = "/mdb.c:" in line and "Assertion" in line
                    event = "lmdb assertion" if lmdb else "unstructured"
                    entries.append({"event": event, "line": line})
        return entries
