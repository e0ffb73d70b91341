"""`./tally` itself, in a copy of the root, without network.

A stand-in for the environment's Python says how it was called; the set-up steps that need no registry run for real.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tools.checks import first_failure, from_here

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("pyproject.toml", "constraints.txt")
STAND_IN = '#!/bin/sh\necho "$PWD|$PYTHONPATH|$PYTHONSAFEPATH|${PYTHONHOME-none}|$*"\nexit 7\n'
SECONDS_MAX = 60
"""A step that fails at once must not hang a test run for longer."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A root whose path has a space, holding the script and its inputs."""
    root = tmp_path / "a root"
    root.mkdir()
    for name in ("tally", *INPUTS):
        shutil.copy(ROOT / name, root)
    return root


@pytest.fixture
def ready(copy: Path) -> Path:
    """The same with an environment that is up to date; its Python is the stand-in."""
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN)
    python.chmod(0o755)
    (copy / ".venv" / "tally-stamp").write_text(load(copy).wanted_stamp())
    return copy


def load(root: Path) -> ModuleType:
    """The script as a module, to call its parts."""
    loader = SourceFileLoader("tally_script", str(root / "tally"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def call(
    script: Path, *words: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["check"], "tools.checks"),
        (["test", "-k", "one thing"], "tools.checks"),
        (["demo"], "tools.cli"),
        ([], "tools.cli"),
        (["--help"], "tools.cli"),
        (["lots", "check"], "tools.cli"),
    ],
)
def test_words_reach_their_module_and_its_exit_code_comes_back(
    ready: Path, words: list[str], module: str
) -> None:
    run = call(ready / "tally", *words, cwd=ready)
    assert run.stdout.strip().endswith("|" + " ".join(["-m", module, *words]))
    assert run.returncode == 7


def test_a_ready_environment_costs_no_word_and_no_file(ready: Path) -> None:
    before = sorted(ready.rglob("*"))
    run = call(ready / "tally", "demo", cwd=ready)
    assert run.stderr == ""
    assert sorted(ready.rglob("*")) == before


def test_it_runs_through_a_link_in_the_folder_where_the_user_stands(
    ready: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(ready / "tally")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = call(tmp_path / "link", "demo", cwd=elsewhere, PYTHONPATH="/nowhere")
    assert run.stdout.strip() == f"{elsewhere}|{ready}|1|none|-m tools.cli demo"


def test_the_ready_path_imports_nothing_heavy(ready: Path) -> None:
    script = (
        "import os, runpy, sys\n"
        "os.execv = lambda *_: print(*sorted(sys.modules))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    words = [sys.executable, "-I", "-S", "-c", script, str(ready / "tally")]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    assert {"hashlib", "os"} <= set(run.stdout.split())
    assert not {"subprocess", "pathlib", "shutil", "tomllib"} & set(run.stdout.split())


@pytest.mark.parametrize("name", INPUTS)
def test_a_changed_input_makes_it_stale(ready: Path, name: str) -> None:
    script = load(ready)
    assert script.is_ready(script.wanted_stamp())
    with (ready / name).open("a") as file:
        file.write("\n# changed\n")
    assert not script.is_ready(script.wanted_stamp())


def test_a_moved_folder_is_stale(ready: Path) -> None:
    moved = ready.rename(ready.parent / "moved")
    script = load(moved)
    assert not script.is_ready(script.wanted_stamp())


def test_an_environment_whose_python_is_gone_is_stale(ready: Path) -> None:
    script = load(ready)
    (ready / ".venv" / "bin" / "python").unlink()
    assert not script.is_ready(script.wanted_stamp())


def test_the_client_s_the_node_s_and_the_developers_packages_are_installed(copy: Path) -> None:
    names = " ".join(load(copy).requirements())
    assert all(name in names for name in ("cbor2", "lmdb", "pytest", "ruff"))


def test_a_failed_installation_says_so_and_leaves_no_stamp(copy: Path) -> None:
    (copy / ".venv").mkdir()
    (copy / ".venv" / "half-made").touch()
    cut_off = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    run = call(copy / "tally", "demo", cwd=copy, **cut_off)
    assert run.returncode == 70
    assert "setting up .venv" in run.stderr
    assert "installing the dependencies failed" in run.stderr
    assert "run the same command again" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (copy / ".venv" / "tally-stamp").exists()
    assert not (copy / ".venv" / "half-made").exists()


def test_two_starts_at_once_set_up_once(ready: Path) -> None:
    """The second start waits for the lock, finds the work done, and goes on."""
    stamp = ready / ".venv" / "tally-stamp"
    wanted = stamp.read_text()
    stamp.unlink()
    with (ready / ".tally-setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, str(ready / "tally"), "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        assert "waiting for another" in second.stderr.readline()
        stamp.write_text(wanted)
    output, errors = second.communicate(timeout=SECONDS_MAX)
    assert output.strip().endswith("-m tools.cli demo")
    assert errors == ""


def test_a_folder_that_cannot_be_written_is_a_clear_error(copy: Path) -> None:
    (copy / ".tally-setup.lock").mkdir()
    run = call(copy / "tally", "demo", cwd=copy)
    assert run.returncode == 70
    assert "cannot prepare .venv" in run.stderr
    assert "Traceback" not in run.stderr


def test_paths_for_pytest_are_meant_from_where_the_user_stands(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").touch()
    assert from_here("test_a.py", tmp_path) == str(tmp_path / "test_a.py")
    assert from_here("test_a.py::test_b", tmp_path) == f"{tmp_path / 'test_a.py'}::test_b"


@pytest.mark.parametrize("word", ["-x", "-k", "absent.py", "--lf", "not slow", "::test_b", ""])
def test_other_words_for_pytest_stay_as_they_are(tmp_path: Path, word: str) -> None:
    assert from_here(word, tmp_path) == word


@pytest.mark.parametrize(
    ("codes", "code"), [((0, 0), 0), ((1, 0), 1), ((0, 2), 2), ((-11, 0), -11), ((0, -9), -9)]
)
def test_a_part_of_the_suite_that_a_signal_ended_has_failed(
    codes: tuple[int, int], code: int
) -> None:
    assert first_failure(codes) == code
