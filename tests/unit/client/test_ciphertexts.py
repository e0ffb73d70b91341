"""The client's side of ciphertexts: goes on where it stopped, believes nothing but the hash."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

import pytest

from tallynet.ciphertexts import (
    PIECE_BYTES_MAX,
    CiphertextPart,
    CiphertextState,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.client.ciphertexts import get_ciphertext, put_ciphertext
from tallynet.client.errors import RequestFailed
from tallynet.client.nodes import Nodes
from tallynet.records import Kind

DATA = bytes(range(256)) * 1_200
HASH = sha256(DATA).digest()


class Scripted:
    """Nodes that answer by a script: `answers` gets each question and the node in use."""

    def __init__(self, answers: Callable[[Any, int], Any]) -> None:
        self.answers = answers
        self.node = 0
        self.asked: list[Any] = []

    def __len__(self) -> int:
        return 3

    def go_on(self) -> None:
        self.node += 1

    async def ask(self, make: Any, expect: type, check: Any, *, seconds: float = 1) -> Any:
        question = make(len(self.asked))
        self.asked.append(question)
        answer = self.answers(question, self.node)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, expect)
        return check(answer)

    @property
    def nodes(self) -> Nodes:
        return cast("Nodes", self)


def part(question: QueryCiphertext, data: bytes = DATA) -> CiphertextPart:
    piece = data[question.offset : question.offset + PIECE_BYTES_MAX]
    return CiphertextPart(question.request, len(data), piece)


async def fetched(nodes: Scripted, have: bytes = b"") -> bytes:
    return await get_ciphertext(nodes.nodes, Kind.DOCUMENT, bytes(16), HASH, bytes(32), have, None)


async def test_getting_goes_on_from_what_is_there() -> None:
    nodes = Scripted(lambda question, _node: part(question))
    assert await fetched(nodes, DATA[:200_000]) == DATA
    assert [question.offset for question in nodes.asked] == [200_000]


async def test_wrong_bytes_are_thrown_away_and_another_node_is_asked() -> None:
    nodes = Scripted(lambda question, node: part(question, DATA if node else bytes(len(DATA))))
    assert await fetched(nodes) == DATA
    assert await fetched(nodes, b"wrong from the start") == DATA


async def test_what_no_node_gives_is_refused_CIPHERTEXT_HASH() -> None:
    nodes = Scripted(lambda question, _node: part(question, bytes(len(DATA))))
    with pytest.raises(RequestFailed, match="CIPHERTEXT_HASH"):
        await fetched(nodes)


async def test_what_is_on_its_way_is_waited_for_and_what_is_missing_sought_elsewhere() -> None:
    codes = ["CIPHERTEXT_ON_ITS_WAY", "CIPHERTEXT_MISSING"]
    nodes = Scripted(
        lambda question, _node: RequestFailed(codes.pop(0), "") if codes else part(question)
    )
    assert await fetched(nodes) == DATA
    assert nodes.node == 1


async def test_a_refusal_ends_it() -> None:
    nodes = Scripted(lambda _question, _node: RequestFailed("NOT_AUTHORISED", ""))
    with pytest.raises(RequestFailed, match="NOT_AUTHORISED"):
        await fetched(nodes)


async def test_bringing_sends_each_byte_once_and_follows_a_node_that_has_less() -> None:
    kept = bytearray()
    lost = [True]

    def node(question: PutCiphertext, _node: int) -> CiphertextState:
        if len(kept) > PIECE_BYTES_MAX and lost:
            lost.clear()
            del kept[1_000:]  # another node, to which less had come
        elif question.offset == len(kept):
            kept.extend(question.data)
        return CiphertextState(question.request, len(kept))

    nodes = Scripted(node)
    await put_ciphertext(nodes.nodes, Kind.DOCUMENT, bytes(16), DATA, None)
    assert bytes(kept) == DATA
    assert nodes.asked[0].data == b"", "it asks first where to go on"
