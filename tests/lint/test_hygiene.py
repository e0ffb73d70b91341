"""The repository holds no unfinished marks, no paths of a machine, no registry addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.hygiene import OWN_EXAMPLES, blemishes, repository_files

ROOT = Path(__file__).resolve().parents[2]


def test_no_file_of_the_repository_has_a_blemish() -> None:
    names = repository_files(ROOT)
    if names is None:
        pytest.skip("a release folder, not a clone: nothing will be committed from here")
    assert "tests/lint/hygiene.py" in names
    found = []
    for name in sorted(set(names) - set(OWN_EXAMPLES)):
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            found += blemishes(name, content.decode("utf-8", errors="replace"))
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("unfinished", "node/run.py", "# TODO: close"),
        ("unfinished", "docs/start.md", "FIXME later"),
        ("machine path", "docs/start.md", "cd /work/main"),
        ("machine path", "tools/demo.py", "cache = '/root/.cache'"),
        ("machine path", "tests/unit/test_x.py", "#!/tmp/v/bin/python"),
        ("machine path", "docs/start.md", "cd /home/ada/tally"),
        ("neighbour folder", "node/run.py", "open('../shared/invoices')"),
        ("registry address", "constraints.txt", "--index-url https://example.test/simple"),
        ("registry address", "tally", "https://pypi.org/simple"),
        ("conflict", "node/run.py", "<<<<<<< HEAD"),
    ],
)
def test_a_blemish_is_caught(rule: str, path: str, text: str) -> None:
    (found,) = blemishes(path, f"first line\n{text}\n")
    assert (found.rule, found.line) == (rule, 2)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("node/run.py", "the framework/work load, method todo()"),
        ("tests/unit/test_invoices.py", "ROOT / '../shared/invoices'"),
        ("tools/demo_story.py", "ROOT / '../shared/invoices'"),
        ("docs/start.md", "a path like /tmp/vouchers or /var/lib/tally"),
    ],
)
def test_what_only_looks_like_one_passes(path: str, text: str) -> None:
    assert blemishes(path, text) == []


def test_outside_a_clone_there_are_no_repository_files(tmp_path: Path) -> None:
    assert repository_files(tmp_path) is None
