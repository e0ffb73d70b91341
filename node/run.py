"""`python -m node.run DIRECTORY [--role observer]`: run the node of a directory until SIGTERM or SIGINT; SIGHUP makes
it read its settings again.

Exit codes: 0 asked to stop; 5 configuration, key, address or store unusable; 6 the store failed while
running (full or broken disk); 7 an invariant of our own was violated. The last log line says why.
"""

from __future__ import annotations

import argparse
import gc
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio

from node import logs
from node.config import load_config
from node.store import StoreFatal
from node.validator import Validator
from tallynet.errors import InvariantViolated, TallynetError

EXIT_UNUSABLE: Final = 5
EXIT_STORE: Final = 6
EXIT_INVARIANT: Final = 7


async def _main(make: Callable[[Path], Validator], directory: Path) -> None:
    validator = make(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen_to_signals, validator, nursery.cancel_scope)
        await validator.run()
        nursery.cancel_scope.cancel()


async def _listen_to_signals(validator: Validator, scope: trio.CancelScope) -> None:
    """SIGHUP reloads the settings of a service; in a terminal it means that the terminal is gone."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP and not (sys.stdin and sys.stdin.isatty()):
                validator.reload()
                continue
            structlog.get_logger("node").info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside (groups of) exceptions."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _explain(error: BaseException) -> int:
    """Log why the node stops; returns the exit code."""
    log = structlog.get_logger("node")
    leaves = _leaves(error)
    for leaf in leaves:
        if isinstance(leaf, StoreFatal):
            log.critical("store failed", code=leaf.code, message=leaf.message)
            return EXIT_STORE
        if isinstance(leaf, InvariantViolated):
            log.critical("invariant violated", code=leaf.code, exc_info=leaf)
            return EXIT_INVARIANT
    for leaf in leaves:
        if isinstance(leaf, TallynetError):
            log.critical("node cannot run", code=leaf.code, message=leaf.message)
            return EXIT_UNUSABLE
    raise error


def main(make: Callable[[Path], Validator] = Validator) -> int:
    """Run the node of the directory on the command line; tools may make it in another way."""
    directory = Path(sys.argv[1])
    # A core dump of a validator would hold its private key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        config = load_config(directory)
        logs.configure(config.name, config.log_level)
    except TallynetError as error:
        logs.configure(directory.name)
        return _explain(error)
    # Wire values never form cycles (`Wire` has gc=False); what the loop leaves behind does rarely,
    # so collecting the young generation every 700 allocations only costs time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        trio.run(_main, make, directory)
    except BaseException as error:  # noqa: BLE001 - the process ends; the log must say why
        return _explain(error)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--role", choices=("validator", "observer"), default="")
    sys.exit(main(partial(Validator, role=parser.parse_args().role)))
