"""What others wrote is as they published it; what we wrote loads nothing from elsewhere."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

import node.web
from node.web.assets import MANIFEST, STATIC, Vendored, asset

WEB = Path(node.web.__path__[0])
VENDORED = msgspec.json.decode(MANIFEST.read_bytes(), type=list[Vendored])
LICENCES = MANIFEST.parent / "LICENCES.txt"
OURS = [path for path in (*STATIC.glob("*"), *(WEB / "templates").glob("*")) if path.is_file()]


def test_the_manifest_names_every_file_once() -> None:
    there = {path.name for path in MANIFEST.parent.iterdir()} - {MANIFEST.name, LICENCES.name}
    named = [entry.file for entry in VENDORED]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry.file)
def test_each_file_is_as_published(entry: Vendored) -> None:
    body = (MANIFEST.parent / entry.file).read_bytes()
    assert sha256(body).hexdigest() == entry.sha256
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry.version)
    assert f"{entry.package} {entry.version}, {entry.licence}" in LICENCES.read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)


@pytest.mark.parametrize(
    "path", [path for path in OURS if path.suffix == ".html"], ids=lambda path: path.name
)
def test_no_page_holds_scripts_or_styles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b", text)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_an_address_changes_with_its_file() -> None:
    digest = sha256((STATIC / "app.css").read_bytes()).hexdigest()
    assert asset("app.css") == f"/static/{digest[:16]}/app.css"
    with pytest.raises(KeyError):
        asset("nothing.css")
