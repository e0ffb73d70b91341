"""`tally light person`: who may sign in, written from the command line and never with a password on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.desk.accounts import Accounts
from node.light.config import LIGHT_FILE
from tests.unit.desk.people import PASSWORD
from tools.cli import main
from tools.wallet import SMALL_PEOPLE, create_wallet


@pytest.fixture
def light(tmp_path: Path) -> Path:
    create_wallet(tmp_path / "network", "parts", b"o" * 16, ("SUPPLIER",), SMALL_PEOPLE)
    directory = tmp_path / "light"
    directory.mkdir()
    node = f'[[nodes]]\npublic_key = "{"0" * 64}"\nhost = "127.0.0.1"\nport = 1\n'
    text = f'name = "parts"\norganisation = "{(b"o" * 16).hex()}"\nwallet = "../network/wallets/parts"\n'
    (directory / LIGHT_FILE).write_text(text + node)
    (directory / "password").write_text(PASSWORD + "\n")
    return directory


def person(light: Path, *words: str) -> int:
    verb, *rest = words
    return main(["light", "person", verb, str(light), *rest])


def add(light: Path, name: str, *words: str) -> int:
    return person(light, "add", name, *words, "--password-file", str(light / "password"))


def test_people_are_added_listed_changed_and_removed(
    light: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(light, "maker", "--roles", "maker") == 0
    assert add(light, "wang", "--roles", "checker,administrator", "--person", "checker") == 0
    assert add(light, "boss", "--roles", "viewer") == 0
    capsys.readouterr()
    assert person(light, "list", "--output", "json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == [
        {"name": "boss", "roles": ["viewer"], "person": ""},
        {"name": "maker", "roles": ["maker"], "person": "maker"},
        {"name": "wang", "roles": ["administrator", "checker"], "person": "checker"},
    ]
    before = Accounts(light).all()
    assert person(light, "role", "wang", "--roles", "checker") == 0
    assert person(light, "password", "maker", "--password-file", str(light / "password")) == 0
    assert person(light, "remove", "boss") == 0
    after = Accounts(light).all()
    assert (after["wang"].duties, after["wang"].person) == (("checker",), "checker")
    assert after["maker"].password != before["maker"].password
    assert all(after[name].stamp != before[name].stamp for name in ("maker", "wang"))
    assert set(after) == {"maker", "wang"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "li", "--roles", "maker"), "ACCOUNT_INVALID"),
        (("add", "li", "--roles", "king"), "USAGE"),
        (("add", "li", "--roles", "viewer"), "USAGE"),
        (("add", "maker", "--roles", "viewer", "--password-file", "password"), "ACCOUNT_EXISTS"),
        (("add", "li", "--roles", "viewer", "--password-file", "short"), "PASSWORD_WEAK"),
        (("role", "li", "--roles", "viewer"), "ACCOUNT_MISSING"),
        (("remove", "li"), "ACCOUNT_MISSING"),
        (("password", "li"), "ACCOUNT_MISSING"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    light: Path, words: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(light, "maker", "--roles", "maker") == 0
    (light / "short").write_text("short\n")
    before = Accounts(light).all()
    given = [str(light / word) if word in ("password", "short") and "--password-file" in words
             and word != words[0] else word for word in words]  # fmt: skip
    assert person(light, *given) != 0
    assert code in capsys.readouterr().err
    assert Accounts(light).all() == before
