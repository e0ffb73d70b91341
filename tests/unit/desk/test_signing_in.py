"""Passwords, how often one may be tried, and how long somebody is signed in."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from node.desk import passwords as hashing
from node.desk import sessions as keeping
from node.desk import tries as counting
from node.desk.accounts import Accounts, Duty
from node.desk.passwords import PasswordError, Passwords, hash_password
from node.desk.sessions import IDLE_SECONDS, SESSION_SECONDS, Sessions
from node.desk.tries import BY_ACCOUNT_MAX, IN_ALL_MAX, WINDOW_SECONDS, Browsers, Tries
from tests.unit.desk.people import HASHED, PASSWORD, account, write


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


# --- passwords ------------------------------------------------------------------------------------------


async def test_only_the_password_fits() -> None:
    passwords = Passwords()
    assert await passwords.fits(PASSWORD, HASHED)
    assert not await passwords.fits(PASSWORD + " ", HASHED)
    assert not await passwords.fits(PASSWORD, None), "of nobody, at the same cost"
    assert hash_password(PASSWORD) != HASHED, "salted"


@pytest.mark.parametrize("password", ["short", "", "x" * 129])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(PasswordError) as weak:
        hash_password(password)
    assert weak.value.code == "PASSWORD_WEAK"


async def test_no_more_are_hashed_at_once_than_the_machine_has_memory_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashing, "WAITING_MAX", 3)
    passwords, refused = Passwords(), []

    async def try_one() -> None:
        try:
            await passwords.fits("x", None)
        except PasswordError as error:
            refused.append(error.code)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(try_one)
    assert refused == ["BUSY", "BUSY"]
    assert await passwords.fits(PASSWORD, HASHED), "and goes on afterwards"


# --- tries ----------------------------------------------------------------------------------------------


def test_one_account_is_tried_a_few_times_only() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(BY_ACCOUNT_MAX):
        assert tries.allowed("li")
        tries.begin("li")
    assert not tries.allowed("li")
    assert tries.allowed("wang")
    clock.now += WINDOW_SECONDS
    assert tries.allowed("li")


def test_many_accounts_together_are_tried_a_few_times_only() -> None:
    clock = Clock()
    tries = Tries(clock)
    for i in range(IN_ALL_MAX):
        assert tries.allowed(f"a{i}")
        tries.begin(f"a{i}")
    assert not tries.allowed("other")
    clock.now += WINDOW_SECONDS
    assert tries.allowed("other")


def test_who_knows_the_password_is_not_counted() -> None:
    tries = Tries(Clock())
    for _ in range(3 * IN_ALL_MAX):
        assert tries.allowed("li")
        tries.begin("li")
        tries.succeeded("li")


def test_no_more_names_are_remembered_than_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "NAMES_MAX", 3)
    tries = Tries(Clock())
    for i in range(9):
        tries.begin(f"a{i}")
    assert list(tries._by_name) == [("a6", ""), ("a7", ""), ("a8", "")]


def test_who_tries_elsewhere_shuts_nobody_out_who_signed_in_here() -> None:
    clock, browsers = Clock(), Browsers()
    tries = Tries(clock)
    here = browsers.remember("", "li")
    assert browsers.remember(here, "wang") == here and browsers.knows(here, "wang")
    assert browsers.remember("forged", "wang") not in ("forged", here)
    assert not browsers.knows(here, "zhao") and not browsers.knows("", "li")
    for i in range(IN_ALL_MAX):
        tries.begin("li" if i < BY_ACCOUNT_MAX else f"a{i}")
    assert not tries.allowed("li")
    for _ in range(BY_ACCOUNT_MAX):
        assert tries.allowed("li", here)
        tries.begin("li", here)
    assert not tries.allowed("li", here), "nor may be guessed there"
    tries.succeeded("li", here)
    assert tries.allowed("li", here) and not tries.allowed("wang")


def test_no_more_browsers_are_remembered_than_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "BROWSERS_MAX", 2)
    browsers = Browsers()
    first, second, third = (browsers.remember("", name) for name in ("li", "wang", "zhao"))
    assert [browsers.knows(first, "li"), browsers.knows(second, "wang")] == [False, True]
    assert browsers.knows(third, "zhao")


# --- sessions -------------------------------------------------------------------------------------------


def opened(directory: Path, clock: Clock) -> tuple[Sessions, str]:
    li = account("li", Duty.MAKER)
    write(directory, li)
    sessions = Sessions(Accounts(directory), clock)
    return sessions, sessions.begin(li)


def test_a_session_ends_when_nobody_uses_it(tmp_path: Path) -> None:
    clock = Clock()
    sessions, secret = opened(tmp_path, clock)
    clock.now += IDLE_SECONDS
    assert sessions.get(secret) is not None
    clock.now += IDLE_SECONDS
    assert sessions.get(secret, uses=False) is not None, "a page by itself is no use of it"
    clock.now += 1
    assert sessions.get(secret) is None
    assert sessions.get("") is None


def test_a_session_ends_after_a_working_day(tmp_path: Path) -> None:
    clock = Clock()
    sessions, secret = opened(tmp_path, clock)
    until = clock.now + SESSION_SECONDS
    while clock.now + IDLE_SECONDS <= until:
        clock.now += IDLE_SECONDS
        assert sessions.get(secret) is not None
    clock.now = until + 1
    assert sessions.get(secret) is None


def test_a_session_ends_with_the_account_or_a_change_of_it(tmp_path: Path) -> None:
    sessions, secret = opened(tmp_path, Clock())
    write(tmp_path, account("li", Duty.MAKER))
    assert sessions.get(secret) is None, "the same again is a change, e.g. of the password"
    sessions, secret = opened(tmp_path, Clock())
    write(tmp_path)
    assert sessions.get(secret) is None


def test_sessions_are_ended_by_hand_and_the_least_used_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SESSIONS_MAX", 2)
    sessions, first = opened(tmp_path, Clock())
    li = Accounts(tmp_path).get("li")
    assert li is not None
    second = sessions.begin(li)
    assert sessions.get(first) is not None
    third = sessions.begin(li)
    assert sessions.get(second) is None, "that was not used for longest"
    sessions.end(third)
    assert sessions.counted() == {"li": 1}
    sessions.end_all("li")
    assert sessions.counted() == {}


def test_each_session_has_a_secret_of_its_own_for_its_forms(tmp_path: Path) -> None:
    sessions, secret = opened(tmp_path, Clock())
    other = sessions.begin(Accounts(tmp_path).all()["li"])
    one, two = sessions.get(secret), sessions.get(other)
    assert one is not None and two is not None
    assert one.who.brings(one.who.csrf)
    for wrong in ("", two.who.csrf, "ä", secret):
        assert not one.who.brings(wrong)
