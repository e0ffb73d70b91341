"""The content store: resumed, within quotas, whole or not there, whatever ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from hashlib import sha256
from pathlib import Path

import pytest

from node.ciphertexts import store as store_module
from node.ciphertexts.store import FILE_BYTES_MIN, Address, CiphertextRefused, CiphertextStore

MIB = 1 << 20
DATA = bytes(range(256)) * 512
OWNER, OTHER = b"o" * 16, b"p" * 16
DOCUMENT = 8


def address(data: bytes = DATA, owner: bytes = OWNER) -> Address:
    return Address(owner, DOCUMENT, b"d" * 16, sha256(data).digest())


def opened(path: Path, quota: int = MIB, total: int = 4 * MIB) -> CiphertextStore:
    return CiphertextStore(path / "ciphertexts", per_organisation_max=quota, total_max=total)


def put(store: CiphertextStore, where: Address, data: bytes) -> int:
    """All of it, in pieces of 50,000 bytes."""
    held = store.append(where, len(data), 0, b"", 1.0, named=True)
    while held < len(data):
        held = store.append(where, len(data), held, data[held : held + 50_000], 1.0, named=True)
    return held


def refused(code: str, store: CiphertextStore, where: Address, data: bytes) -> None:
    with pytest.raises(CiphertextRefused) as caught:
        put(store, where, data)
    assert caught.value.code == code


def test_what_was_put_in_pieces_is_whole_after_a_restart(tmp_path: Path) -> None:
    assert put(opened(tmp_path), address(), DATA) == len(DATA)
    again = opened(tmp_path)
    held = again.held(address())
    assert held is not None
    assert (held.size, held.whole) == (len(DATA), True)
    assert again.read(address(), 100_000, 1 << 20) == DATA[100_000:]
    assert again.charged(OWNER) == len(DATA)


def test_an_interrupted_one_goes_on_where_it_stopped(tmp_path: Path) -> None:
    opened(tmp_path).append(address(), len(DATA), 0, DATA[:70_000], 1.0, named=True)
    again = opened(tmp_path)
    assert again.append(address(), len(DATA), 0, b"", 2.0, named=True) == 70_000
    assert again.append(address(), len(DATA), 0, DATA[:50_000], 2.0, named=True) == 70_000, (
        "not its end"
    )
    assert again.append(address(), len(DATA), 70_000, DATA[70_000:], 2.0, named=True) == len(DATA)
    assert again.read(address(), 0, MIB) == DATA


def test_a_part_whose_end_a_crash_spoilt_is_gone_and_comes_again(tmp_path: Path) -> None:
    opened(tmp_path).append(address(), len(DATA), 0, DATA[:70_000], 1.0, named=True)
    [part] = (tmp_path / "ciphertexts").glob("*/*.part")
    part.write_bytes(DATA[:60_000] + bytes(10_000))
    again = opened(tmp_path)
    refused("CIPHERTEXT_HASH", again, address(), DATA)
    assert (again.held(address()), again.total) == (None, 0)
    assert put(again, address(), DATA) == len(DATA)


def test_other_bytes_than_announced_are_refused_and_gone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    refused("CIPHERTEXT_HASH", store, address(b"something else"), DATA)
    with pytest.raises(CiphertextRefused, match="CIPHERTEXT_SIZE"):
        store.append(address(), 10, 0, DATA, 1.0, named=True)
    assert all(not held.whole for _, held in store.all())


def test_quotas_count_what_is_announced_and_are_free_again_after_a_drop(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=2 * len(DATA), total=3 * len(DATA))
    one, two, three = (bytes([n]) + DATA[1:] for n in range(3))
    put(store, address(one), one)
    store.append(address(two), len(DATA), 0, b"", 1.0, named=True)
    refused("CIPHERTEXT_QUOTA", store, address(three), three)
    put(store, address(three, OTHER), three)
    refused("CIPHERTEXT_QUOTA", store, address(two, OTHER), two)
    store.drop(address(two))
    assert store.charged(OWNER) == len(DATA)
    tiny = address(b"x")
    put(store, tiny, b"x")
    assert store.charged(OWNER) == len(DATA) + FILE_BYTES_MIN
    store.drop(tiny)
    store.drop(address(one))
    assert store.charged(OWNER) == 0
    assert opened(tmp_path).total == len(DATA)


def test_files_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    put(store, address(), DATA)
    stray = tmp_path / "ciphertexts" / OWNER.hex() / "notes.txt"
    stray.write_text("mine")
    assert [known for known, _ in opened(tmp_path).all()] == [address()]
    assert stray.read_text() == "mine"


CHILD = """
import sys
from hashlib import sha256
from pathlib import Path
from node.ciphertexts.store import Address, CiphertextStore
store = CiphertextStore(Path(sys.argv[1]), per_organisation_max=1 << 30, total_max=1 << 30)
print("ready", flush=True)
for number in range(100_000):
    data = number.to_bytes(4, "big") * 40_000
    where = Address(bytes(16), 8, number.to_bytes(16, "big"), sha256(data).digest())
    for offset in range(0, len(data), 50_000):
        store.append(where, len(data), offset, data[offset : offset + 50_000], 1.0, named=True)
    print(number, flush=True)
"""


@pytest.mark.parametrize("after_seconds", [0.05, 0.1, 0.2])
def test_a_killed_process_leaves_only_whole_ciphertexts_and_parts(
    tmp_path: Path, after_seconds: float
) -> None:
    """What was said to be whole is there, with its hash; what was not is a part, or absent."""
    place = tmp_path / "ciphertexts"
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(place)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(after_seconds)
        child.send_signal(signal.SIGKILL)
        said = [int(line) for line in child.stdout if line.endswith("\n")]
    store = CiphertextStore(place, per_organisation_max=1 << 30, total_max=1 << 30)
    whole = {where.record: where for where, held in store.all() if held.whole}
    assert said
    assert all(number.to_bytes(16, "big") in whole for number in said)
    for where in whole.values():
        assert sha256(store.read(where, 0, MIB)).digest() == where.hash
    assert len(store.all()) - len(whole) <= 1


def test_what_no_record_names_has_little_room_until_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "UNNAMED_BYTES_MAX", 2 * len(DATA))
    store = opened(tmp_path)
    several = [bytes([n]) + DATA[1:] for n in range(4)]
    for data in several[:2]:
        store.append(address(data), len(data), 0, data, 1.0, named=False)
    with pytest.raises(CiphertextRefused, match="CIPHERTEXT_QUOTA"):
        store.append(address(several[2]), len(DATA), 0, b"", 1.0, named=False)
    store.append(address(several[3]), len(DATA), 0, several[3], 1.0, named=True)
    store.settle(address(several[0]), for_good=True)
    assert address(several[0]) not in dict(store.loose())
    assert store.append(address(several[2]), len(DATA), 0, several[2], 1.0, named=False) == len(
        DATA
    )
    store.drop(address(several[1]))
    assert len(store.loose()) == 2
    assert len(opened(tmp_path).loose()) == 3, "after a start all are looked at once"
