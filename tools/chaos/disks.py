"""Disks that fill up, rot, or bring back yesterday."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import trio

from node.run import EXIT_STORE, EXIT_UNUSABLE
from node.store.errors import DATA_FILE
from tools.chaos.crashes import must_catch_up
from tools.chaos.damage import Damage, damage
from tools.chaos.load import Shape
from tools.chaos.run import Run

FILL: Final = Shape(in_flight=300)
"""As much as gets receipts, to fill a disk quickly."""
ROOM_BYTES: Final = 1024 * 1024
ROOMY_BYTES: Final = 1024 * 1024 * 1024
PROGRESS_SECONDS_MAX: Final = 30.0
CORRUPT_TRIALS: Final = 12
VOTING_SECONDS: Final = 2.0
"""How long a node votes between a copy of its disk and the moment that the copy is put back."""
MUTE_EVENTS: Final = frozenset({"this node will not vote", "votes_stopped"})


# --- full -------------------------------------------------------------------------------------------


async def disk_full(run: Run) -> None:
    """The disk of one validator fills up: it halts with its own exit code, the others go on; with room
    again it catches up and votes."""
    victim = run.random.choice(run.network.names)
    mounted = await run.do(_on_small_disk, run, victim)
    if mounted:
        await run.start([victim])
    else:
        await run.do(limit_file_size, run, victim)
    run.figures["disk_full"] = await _fill(run, victim, mounted=mounted)
    if mounted:
        await run.do(run.network.terminate, victim)
        await run.do(_back_to_disk, run.network.data(victim))
        await run.start([victim])


async def disk_full_once(run: Run) -> None:
    """The same by a file size limit, for the mixed schedule."""
    victim = run.random.choice(run.healthy())
    await run.do(limit_file_size, run, victim)
    await _fill(run, victim, mounted=False)


async def _fill(run: Run, victim: str, *, mounted: bool) -> dict[str, Any]:
    """Load until the node halts, see the others go on, give it room, see it catch up."""
    how = "a small tmpfs" if mounted else "a file size limit"
    run.note("disk-full", [victim], f"{victim} has {how} with {ROOM_BYTES >> 20} MiB left")
    await run.set_load(FILL)
    code, last = await run.do(run.network.wait_end, victim)
    await run.set_load(run.shape)
    run.say(f"{victim} halted: exit code {code}, {last.get('code')}")
    if (code, last.get("code")) != (EXIT_STORE, "STORE_FULL"):
        run.fail(f"{victim} met a full disk with exit code {code} and {last}")
    if await run.progress(PROGRESS_SECONDS_MAX) is None:
        run.fail("the others do not go on while one disk is full")
    if mounted:
        await run.do(_mount, run.network.data(victim), ROOMY_BYTES, "remount,")
    run.note("room", [victim], f"{victim} gets room and starts again")
    await run.start([victim])
    caught_up = await must_catch_up(run, victim)
    return {"how": how, "exit_code": code, "code": last.get("code"), "caught_up_s": caught_up}


def limit_file_size(run: Run, name: str) -> None:
    """No file of the running node may grow beyond what its database needs for the next moments."""
    size = (run.network.data(name) / DATA_FILE).stat().st_size + ROOM_BYTES
    resource.prlimit(run.network.pid(name), resource.RLIMIT_FSIZE, (size, size))


def _on_small_disk(run: Run, name: str) -> bool:
    """Move a node's database to a tmpfs with little room; False where mounting is not allowed."""
    data = run.network.data(name)
    run.network.terminate(name)
    aside = data.with_name("data.aside")
    data.rename(aside)
    data.mkdir(mode=0o700)
    used = sum(file.stat().st_blocks * 512 for file in aside.iterdir())
    if not _mount(data, used + ROOM_BYTES):
        data.rmdir()
        aside.rename(data)
        run.network.start([name])
        return False
    _copy(aside, data)
    shutil.rmtree(aside)
    return True


def _mount(place: Path, size_bytes: int, options: str = "") -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"{options}size={size_bytes}", "tmpfs", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _back_to_disk(data: Path) -> None:
    aside = data.with_name("data.aside")
    _copy(data, aside)
    subprocess.run(["umount", str(data)], check=True)
    data.rmdir()
    aside.rename(data)


def _copy(source: Path, target: Path) -> None:
    """Copy a node's data; the sparse file stays as small as its contents."""
    shutil.copytree(source, target, dirs_exist_ok=True)


# --- damaged ----------------------------------------------------------------------------------------


async def corrupt(run: Run) -> None:
    """A stopped node's database is damaged: the start must notice it and serve nothing. The last victim
    then loses its disk, as the remedy says, and follows without a vote."""
    trials = run.options.cycles or CORRUPT_TRIALS
    kinds = list(Damage)
    refused: dict[str, int] = {}
    for trial in range(1, trials + 1):
        kind = kinds[(trial - 1) % len(kinds)]
        victim = run.random.choice(run.healthy())
        await corrupt_once(run, victim, kind, f"{trial}/{trials} ", restore=trial < trials)
        refused[kind.value] = refused.get(kind.value, 0) + 1
        if trial == trials:
            await lose_disk(run, victim)
    run.figures["corruption_trials"] = trials
    run.figures["corruption_refused"] = refused


async def corrupt_once(
    run: Run, victim: str, kind: Damage, prefix: str = "", *, restore: bool = True
) -> None:
    """Kill a node, damage its database, see it refuse; with `restore` the undamaged file comes back,
    which is the register that holds every vote."""
    data = run.network.data(victim)
    await run.do(run.network.kill, [victim])
    aside = data.with_name("data.good")
    await run.do(_copy, data, aside)
    what = await run.do(damage, data, kind, run.random)
    run.note("corrupt", [victim], f"{prefix}{victim}: {what}")
    offset = run.network.log_size(victim)
    code, last = await run.do(run.network.start_and_fail, victim)
    served = any(e["event"] == "node listening" for e in run.network.log_entries(victim, offset))
    if served or (code, last.get("code")) != (EXIT_UNUSABLE, "STORE_CORRUPT"):
        run.fail(f"{victim} started on a damaged database ({what}): exit code {code}, {last}")
    if restore:
        await run.do(_replace, data, aside)
        await run.start([victim])
        await must_catch_up(run, victim)
    else:
        await run.do(shutil.rmtree, aside)


async def lose_disk(run: Run, victim: str) -> None:
    """The remedy for a damaged database: an empty directory. The key's mark keeps the node silent."""
    data = run.network.data(victim)
    await run.bar(victim)
    data.rename(data.with_name("data.damaged"))
    run.note("lost", [victim], f"{victim} starts with an empty directory")
    await _start_silenced(run, victim)


async def _start_silenced(run: Run, victim: str) -> None:
    """Start a node that must not vote any more, see that it says so and follows."""
    offset = run.network.log_size(victim)
    await run.start([victim])
    caught_up = await must_catch_up(run, victim)
    run.figures.setdefault("barred_caught_up_s", []).append(caught_up)
    await _must_say_so(run, victim, offset)


async def _must_say_so(run: Run, victim: str, offset: int) -> None:
    with trio.move_on_after(PROGRESS_SECONDS_MAX):
        while True:
            if MUTE_EVENTS & {e["event"] for e in run.network.log_entries(victim, offset)}:
                return
            await trio.sleep(0.2)
    run.fail(f"{victim} lost votes and does not say that it stays silent")


# --- rolled back ------------------------------------------------------------------------------------


async def rollback(run: Run) -> None:
    """Older copies of a data directory are put back, all on one node: of the same run of the process,
    of an earlier run, and of another earlier run after that."""
    victim = run.random.choice(run.network.names)
    data = run.network.data(victim)
    copies = {name: data.with_name(f"data.{name}") for name in ("first", "second", "running")}
    for name in ("first", "second"):
        await run.do(run.network.terminate, victim)
        await run.do(_copy, data, copies[name])
        run.note("copy", [victim], f"a copy of the stopped {victim} is kept: {name} run")
        await run.start([victim])
        await _must_vote(run, victim)
    await run.do(_copy_while_paused, run, victim, copies["running"])
    run.note("copy", [victim], f"a copy of the running {victim} is kept")
    await _must_vote(run, victim)
    for name in ("running", "first", "second"):
        await _put_back(run, victim, copies[name], f"the copy of its {name} run")
    run.figures["rollbacks"] = list(copies)


async def rollback_once(run: Run) -> None:
    """A copy of the stopped node, put back after it has voted on; for the mixed schedule."""
    victim = run.random.choice(run.healthy())
    copy = run.network.data(victim).with_name("data.older")
    await run.do(run.network.terminate, victim)
    await run.do(_copy, run.network.data(victim), copy)
    await run.start([victim])
    await _must_vote(run, victim)
    await _put_back(run, victim, copy, "an older copy")


def _copy_while_paused(run: Run, victim: str, target: Path) -> None:
    run.network.pause(victim)
    try:
        _copy(run.network.data(victim), target)
    finally:
        run.network.resume([victim])


def _replace(data: Path, copy: Path) -> None:
    shutil.rmtree(data)
    copy.rename(data)


async def _must_vote(run: Run, victim: str) -> None:
    """Let the node take part for a while, so that what a copy misses are votes."""
    await must_catch_up(run, victim)
    await trio.sleep(VOTING_SECONDS)


async def _put_back(run: Run, victim: str, copy: Path, what: str) -> None:
    """Replace the database of a node and see that it never votes again."""
    data = run.network.data(victim)
    await run.do(run.network.kill, [victim])
    if victim not in run.network.barred:
        await run.bar(victim)
    await run.do(_replace, data, copy)
    run.note("rollback", [victim], f"{victim} starts from {what}")
    await _start_silenced(run, victim)
    await trio.sleep(VOTING_SECONDS)
