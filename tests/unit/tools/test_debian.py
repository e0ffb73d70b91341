"""Debian packages: what the list says, what is missing, and what is done about it.

A stand-in for dpkg-query and apt-get on the path says how it was called; nothing is installed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.debian import (
    PackagesMissing,
    ensure_packages,
    listed_packages,
    missing_packages,
)

DPKG = """#!/bin/sh
for name; do [ -e "{place}/installed/$name" ] && echo "$name installed"; done; :
"""
APT = """#!/bin/sh
echo "$@" >> "{place}/calls"
[ "$1" = update ] && touch "{place}/updated"
if [ "$1" = install ] && [ -e "{place}/{needs}" ]; then touch "{place}/installed/spin"; exit 0; fi
[ "$1" = update ]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with a dpkg-query that knows gcc alone; apt-get is added by the tests."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "gcc").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program(tmp_path, "dpkg-query", DPKG.format(place=tmp_path))
    (tmp_path / "list").write_text("# why\n\ngcc   # compiles\nspin  # checks\n")
    return tmp_path


def program(place: Path, name: str, text: str) -> None:
    (place / name).write_text(text)
    (place / name).chmod(0o755)


def calls(place: Path) -> list[str]:
    return [line.split()[0] for line in (place / "calls").read_text().splitlines()]


def as_root(monkeypatch: pytest.MonkeyPatch, user: int = 0) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)


def test_the_list_names_a_package_a_line_and_says_why(place: Path) -> None:
    assert listed_packages(place / "list") == ("gcc", "spin")
    assert {"gcc", "spin"} <= set(listed_packages())


def test_only_what_is_not_installed_is_missing(place: Path) -> None:
    assert missing_packages(("gcc", "spin")) == ("spin",)
    (place / "installed" / "spin").touch()
    assert missing_packages(("gcc", "spin")) == ()


def test_nothing_missing_costs_no_apt_and_no_word(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_root(monkeypatch)
    program(place, "apt-get", APT.format(place=place, needs="."))
    (place / "installed" / "spin").touch()
    ensure_packages(place / "list")
    assert not (place / "calls").exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("needs", "expected"),
    [(".", ["install"]), ("updated", ["install", "update", "install"])],
    ids=["at once", "after an update"],
)
def test_root_gets_it_installed_and_is_told(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    needs: str,
    expected: list[str],
) -> None:
    as_root(monkeypatch)
    program(place, "apt-get", APT.format(place=place, needs=needs))
    ensure_packages(place / "list")
    assert calls(place) == expected
    assert capsys.readouterr().err == "installing Debian packages: spin\n"


def test_a_failed_installation_is_one_clear_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_root(monkeypatch)
    program(place, "apt-get", APT.format(place=place, needs="never"))
    with pytest.raises(PackagesMissing, match="apt-get install --yes spin failed"):
        ensure_packages(place / "list")


def test_others_are_told_the_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_root(monkeypatch, user=1000)
    with pytest.raises(PackagesMissing, match="install as root: apt-get install --yes spin"):
        ensure_packages(place / "list")
