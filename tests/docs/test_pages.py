"""What a page names is there: commands with these options, files, other pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CoercionError, CycloptsError, MissingArgumentError

from consensus.statistics import WaitingReason
from node.store.tables import TABLES
from tools.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
COMMAND = re.compile(r"^(?:    )?(?:\$ )?(?:\./)?tally ([a-z].*)$", re.MULTILINE)
OF_THE_PROJECT = ("check", "test")
LINK = re.compile(r"\]\(([^)#: ]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:tallynet|consensus|net|node|tools|tests|docs)/[\w./-]*(?:/|\.\w+))`")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def words_of(line: str) -> list[str]:
    """Up to what is the shell's own (a pipe, a comment, a substitution), or stands for something left out."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    try:
        for word in reader:
            if word[0] in "|<>&;(" or "..." in word or word in ("$", "\\", "\n"):
                break
            words.append(word)
    except ValueError:  # a quotation that goes on in the next line
        pass
    return words


def commands(text: str) -> list[list[str]]:
    found = [words_of(line) for line in COMMAND.findall(text)]
    return [words for words in found if words and words[0] not in OF_THE_PROJECT]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_those_of_this_program(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except (MissingArgumentError, CoercionError):
            pass  # a line that goes on, or a value that the shell computes
        except CycloptsError as error:
            pytest.fail(f"tally {' '.join(words)}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_every_reason_why_there_is_no_block_is_explained() -> None:
    text = (ROOT / "docs" / "operate" / "logs.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)
    assert set(explained) >= {*(reason.name for reason in WaitingReason), "UNREACHED"}


def test_the_map_of_the_code_names_every_table_of_the_store() -> None:
    text = (ROOT / "docs" / "internals" / "code-map.md").read_text(encoding="utf-8")
    _, _, chapter = text.partition("## The tables of the store")
    named = re.findall(
        r"`([a-z_ ]+)`", "".join(re.findall(r"^\| ([^|]+) \|", chapter, re.MULTILINE))
    )
    assert set(named) == {table.removesuffix(".2") for table in TABLES}
