"""Fetching a certified state: what is right gets in, everything else stays out (B6, B7; INV-22)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.state_server import PIN_IDLE_MS, PIN_MS_MAX, PIN_SHARED_MS_MAX
from node.state_sync import ANSWER_MS, RATE_BYTES_MIN, RATE_PERIOD_MS
from tallynet.blocks import Commit, Header
from tallynet.codec import decode, encode
from tallynet.genesis import validators_hash
from tallynet.hashing import block_hash
from tallynet.messages import (
    FetchState,
    FetchStateHead,
    NoState,
    PeerMessage,
    StateBucket,
    StateEntities,
    StateEntity,
    StateHead,
    StateNode,
    StatePart,
)
from tallynet.records import Kind
from tallynet.state_proof import entity_key, tree_root
from tallynet.validators import HANDOVERS_MAX, Handover
from tests.unit.node.state_sync_world import GENESIS, VALIDATORS, Source, Target, certificate_of
from tests.unit.state.samples import record_id

replace = msgspec.structs.replace


def source_of(remainders: int, vouchers: int = 3, lots: int = 5) -> Source:
    source = Source()
    source.write({n: n for n in range(remainders)}, dict.fromkeys(range(vouchers), lots))
    return source


# --- the whole way ------------------------------------------------------------------------------------


@pytest.mark.parametrize("remainders", [0, 1, 16, 17, 400, 9_000])
def test_a_fetched_state_is_the_source_s_byte_for_byte(remainders: int) -> None:
    source, target = source_of(remainders), Target()
    target.fetch(source)
    assert target.sync.finished is not None
    assert target.sync.finished.header.height == 1
    assert target.tables() == source.tables()
    assert target.faults == []


def test_an_empty_place_gets_large_parts_and_a_known_one_only_what_has_changed() -> None:
    source, target = source_of(9_000), Target()
    questions = target.fetch(source)
    assert questions < 40, "about 256 KiB for every question"
    everything = target.sync.progress().bytes
    source.write({7: 2}, {1: 6})
    target = target.restarted()
    target.least = 2
    target.fetch(source)
    assert target.tables() == source.tables()
    assert target.sync.progress().bytes < everything // 40


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.integers(0, 120), st.one_of(st.none(), st.integers(0, 3)), max_size=90
            ),
            st.dictionaries(st.integers(0, 3), st.integers(0, 4), max_size=3),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_interrupts_it_nothing_is_left_over_and_nothing_is_missing(
    history: list[tuple[dict[int, int | None], dict[int, int], int]],
) -> None:
    """The state moves on while it is fetched, and the process dies in between."""
    source, target = Source(), Target()
    source.write({500: 1})
    for remainders, vouchers, exchanges in history:
        source.write(remainders, vouchers)
        source.server.close()
        target = target.restarted()
        target.least = source.height
        target.fetch(source, exchanges)
    source.server.close()
    target = target.restarted()
    target.least = source.height
    target.fetch(source)
    assert target.sync.finished is not None
    assert target.tables() == source.tables()


@pytest.mark.parametrize(
    "change",
    [
        dict.fromkeys(range(5)) | dict.fromkeys(range(100, 200), 1),
        dict.fromkeys(range(3, 10)),
        dict.fromkeys(range(10)),
    ],
    ids=["a bucket becomes a node", "a bucket shrinks", "nearly all go"],
)
def test_a_small_state_that_became_another(change: dict[int, int | None]) -> None:
    source, target = source_of(10), Target()
    target.fetch(source)
    source.write(change)
    target = target.restarted()
    target.least = 2
    target.fetch(source)
    assert target.tables() == source.tables()


def test_a_branch_that_is_empty_now_and_one_that_shrank_leave_nothing() -> None:
    source, target = source_of(400), Target()
    target.fetch(source)
    first_step = {n: entity_key(b"\x10" + record_id(n))[0] >> 4 for n in range(400)}
    source.write(
        {n: None for n, step in first_step.items() if step in (3, 4) or (n % 50 and step == 5)}
    )
    target = target.restarted()
    target.least = 2
    target.fetch(source)
    assert target.tables() == source.tables()


def test_a_state_that_returns_while_another_was_being_fetched() -> None:
    """What stands on disk for the first is not taken for complete after the second has been at it."""
    count = 1_500
    source = source_of(count)
    changed = range(0, count, 40)
    for exchanges in range(1, 20, 3):
        target = Target()
        target.fetch(source)
        first = source.tables()
        source.write(dict.fromkeys(changed, 5))
        target = target.restarted()
        target.least = source.height
        target.fetch(source, exchanges)
        source.write({n: n for n in changed})
        assert source.tables() == first
        target = target.restarted()
        target.least = source.height
        target.fetch(source)
        assert target.tables() == first


def test_two_entities_with_equal_records_are_not_taken_for_each_other() -> None:
    source, target = source_of(40), Target()
    target.fetch(source)
    source.write(dict.fromkeys(range(40), 99))
    target = target.restarted()
    target.least = 2
    target.tick()
    to, part = answered(target, source, StateEntities)
    assert isinstance(part.subtrees[0], StateEntities) and len(part.subtrees[0].path) == 64
    name = part.subtrees[0].entities[0].name
    other = next(b"\x10" + record_id(n) for n in range(40) if b"\x10" + record_id(n) != name)
    lie = replace(part.subtrees[0], entities=(replace(part.subtrees[0].entities[0], name=other),))
    target.receive(to, replace(part, subtrees=(lie, *part.subtrees[1:])))
    assert len(target.faults) == 1


def test_an_entity_larger_than_a_part_comes_alone() -> None:
    source, target = source_of(30, vouchers=3, lots=2_500), Target()
    target.fetch(source)
    assert target.tables() == source.tables()


# --- lies -----------------------------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return bytes((data[0] ^ 1,)) + data[1:]


def of_first_entity(
    change: Callable[[StateEntity], StateEntity],
) -> Callable[[StatePart], StatePart]:
    def lie(part: StatePart) -> StatePart:
        subtree = part.subtrees[0]
        assert isinstance(subtree, StateEntities)
        first, *others = subtree.entities
        return replace(part, subtrees=(replace(subtree, entities=(change(first), *others)),))

    return lie


def of_entities(
    change: Callable[[tuple[StateEntity, ...]], tuple[StateEntity, ...]],
) -> Callable[[StatePart], StatePart]:
    def lie(part: StatePart) -> StatePart:
        subtree = part.subtrees[0]
        assert isinstance(subtree, StateEntities)
        return replace(part, subtrees=(replace(subtree, entities=change(subtree.entities)),))

    return lie


def with_lots(entities: tuple[StateEntity, ...]) -> int:
    return next(i for i, entity in enumerate(entities) if entity.lots)


def fewer_lots(entities: tuple[StateEntity, ...]) -> tuple[StateEntity, ...]:
    at = with_lots(entities)
    cut = replace(entities[at], lots=entities[at].lots[1:])
    return (*entities[:at], cut, *entities[at + 1 :])


def swapped_lots(entities: tuple[StateEntity, ...]) -> tuple[StateEntity, ...]:
    at = with_lots(entities)
    a, b, *others = entities[at].lots
    return (*entities[:at], replace(entities[at], lots=(b, a, *others)), *entities[at + 1 :])


def lots_of_no_lot(entities: tuple[StateEntity, ...]) -> tuple[StateEntity, ...]:
    at = with_lots(entities)
    return (*entities[:at], replace(entities[at], lots=(b"\x01",)), *entities[at + 1 :])


def swapped_records(entities: tuple[StateEntity, ...]) -> tuple[StateEntity, ...]:
    a, b, *others = entities
    return (replace(a, record=b.record), replace(b, record=a.record), *others)


ENTITY_LIES: dict[str, Callable[[StatePart], StatePart]] = {
    "a changed record": of_first_entity(lambda e: replace(e, record=flipped(e.record))),
    "another id": of_first_entity(lambda e: replace(e, name=e.name[:1] + flipped(e.name[1:]))),
    "another kind": of_first_entity(lambda e: replace(e, name=b"\x11" + e.name[1:])),
    "a kind that does not exist": of_first_entity(lambda e: replace(e, name=b"\x63" + e.name[1:])),
    "a lot as an entity": of_first_entity(lambda e: replace(e, name=b"\x0a" + e.name[1:])),
    "one missing": of_entities(lambda entities: entities[1:]),
    "the last one missing": of_entities(lambda entities: entities[:-1]),
    "one twice": of_entities(lambda entities: (entities[0], *entities)),
    "one more": of_entities(lambda e: (*e, StateEntity(b"\x10" + b"\xff" * 16, b"x", ()))),
    "two swapped": of_entities(lambda entities: (entities[1], entities[0], *entities[2:])),
    "one hidden by the rest of its branch": of_entities(
        lambda entities: (replace(entities[-1], record=b"x"), *entities)
    ),
    "two records swapped": of_entities(swapped_records),
    "a lot missing": of_entities(fewer_lots),
    "two lots swapped": of_entities(swapped_lots),
    "lots that are none": of_entities(lots_of_no_lot),
    "another path": lambda part: replace(part, subtrees=(replace(part.subtrees[0], path=b"\x01"),)),
    "more than was asked for": lambda part: replace(part, subtrees=part.subtrees * 2),
    "a node instead": lambda part: replace(part, subtrees=(StateNode(b"", bytes(511) + b"\1"),)),
    "an empty node instead": lambda part: replace(part, subtrees=(StateNode(b"", bytes(512)),)),
    "a bucket instead": lambda part: replace(
        part, subtrees=(StateBucket(b"", bytes(17), bytes(32)),)
    ),
    "a bucket that does not pair up": lambda part: replace(
        part, subtrees=(StateBucket(b"", bytes(18), bytes(32)),)
    ),
}


@pytest.mark.parametrize("lie", ENTITY_LIES)
def test_a_lie_about_entities_leaves_nothing_and_another_peer_is_asked(lie: str) -> None:
    source, target = source_of(20), Target()
    target.tick()
    target.exchange(source)
    (to, question), before = target.sent.pop(), target.tables()
    honest = source.answer(question)
    assert isinstance(honest, StatePart) and isinstance(honest.subtrees[0], StateEntities)
    target.receive(to, ENTITY_LIES[lie](honest))
    assert len(target.faults) == 1
    assert target.tables() == before
    asked, request = target.sent[-1]
    assert asked != to and isinstance(decode(PeerMessage, request), FetchStateHead)
    target.fetch(source)
    assert target.tables() == source.tables()


def answered(target: Target, source: Source, kind: type) -> tuple[int, StatePart]:
    """Go on until an answer of this kind comes; it is not delivered yet."""
    while True:
        to, question = target.sent.pop()
        answer = source.answer(question)
        if isinstance(answer, StatePart) and isinstance(answer.subtrees[0], kind):
            return to, answer
        target.receive(to, answer)


@pytest.mark.parametrize("at", [0, 15 * 32, 511])
def test_a_lie_about_a_node_is_refused(at: int) -> None:
    source, target = source_of(9_000), Target()
    target.tick()
    to, part = answered(target, source, StateNode)
    node = part.subtrees[0]
    assert isinstance(node, StateNode)
    children = node.children[:at] + flipped(node.children[at : at + 1]) + node.children[at + 1 :]
    target.receive(to, replace(part, subtrees=(replace(node, children=children),)))
    assert len(target.faults) == 1
    assert not any(target.tables().values())


@pytest.mark.parametrize("field", ["names", "values"])
def test_a_lie_about_a_bucket_or_one_entity_of_it_is_refused(field: str) -> None:
    source = source_of(40)
    target = Target()
    target.fetch(source)
    source.write({3: 9})
    target = target.restarted()
    target.least = 2
    target.tick()
    to, part = answered(target, source, StateBucket)
    bucket = part.subtrees[0]
    assert isinstance(bucket, StateBucket)
    lie = replace(bucket, **{field: getattr(bucket, field)[:-1] + b"\x55"})
    before = target.tables()
    target.receive(to, replace(part, subtrees=(lie, *part.subtrees[1:])))
    assert len(target.faults) == 1
    assert target.tables() == before
    to, part = answered(target, source, StateEntities)
    entity = part.subtrees[0]
    assert isinstance(entity, StateEntities) and len(entity.path) == 64
    older = replace(entity.entities[0], record=source_record(source, 4))
    target.receive(to, replace(part, subtrees=(replace(entity, entities=(older,)),)))
    assert len(target.faults) == 2
    target.fetch(source)
    assert target.tables() == source.tables()


def source_record(source: Source, number: int) -> bytes:
    found = source.state.record_bytes(Kind.REMAINDER, record_id(number))
    assert found is not None
    return found


HEAD_LIES: dict[str, Callable[[StateHead], StateHead]] = {
    "another number of entities": lambda head: replace(head, entities=head.entities + 1),
    "another tree": lambda head: replace(head, tree=flipped(head.tree)),
    "two signers only": lambda head: replace(
        head,
        certificate=replace(
            head.certificate,
            signers=head.certificate.signers[:2],
            signatures=head.certificate.signatures[:2],
        ),
    ),
    "one signer twice": lambda head: replace(
        head, certificate=replace(head.certificate, signers=(0, 1, 1))
    ),
    "a broken signature": lambda head: replace(
        head,
        certificate=replace(
            head.certificate,
            signatures=(flipped(head.certificate.signatures[0]), *head.certificate.signatures[1:]),
        ),
    ),
    "another header": lambda head: replace(
        head, header=encode(replace(decode(Header, head.header), time_ms=77))
    ),
    "no header": lambda head: replace(head, header=b""),
    "other envelopes": lambda head: replace(head, envelopes=()),
}


@pytest.mark.parametrize("lie", HEAD_LIES)
def test_a_lie_about_the_head_is_refused(lie: str) -> None:
    source, target = source_of(20), Target()
    target.tick()
    to, question = target.sent.pop()
    honest = source.answer(question)
    assert isinstance(honest, StateHead)
    target.receive(to, HEAD_LIES[lie](honest))
    assert len(target.faults) == 1
    assert target.sent[-1][0] != to


def test_a_certified_header_of_another_network_epoch_or_height_is_refused() -> None:
    """A quorum would not sign these; the check does not rest on that."""
    source = source_of(20)
    for change in ({"epoch": 1}, {"height": 2}, {"genesis": bytes(32)}, {"proposer": 4}):
        target = Target()
        target.tick()
        to, question = target.sent.pop()
        head = source.answer(question)
        assert isinstance(head, StateHead)
        header = encode(replace(decode(Header, head.header), **change))
        commit = replace(decode(Commit, head.certificate.vote), block=block_hash(header))
        target.receive(to, replace(head, header=header, certificate=certificate_of(commit)))
        assert len(target.faults) == 1, change
    target = Target()
    target.tick()
    to, question = target.sent.pop()
    head = source.answer(question)
    assert isinstance(head, StateHead)
    commit = replace(decode(Commit, head.certificate.vote), epoch=1)
    target.receive(to, replace(head, certificate=certificate_of(commit)))
    assert len(target.faults) == 1, "a vote of another epoch than the block's"


def test_a_head_below_the_height_that_is_of_use_is_refused() -> None:
    source, target = source_of(20), Target()
    target.least = 2
    target.tick()
    to, _ = target.sent.pop()
    head = source.answer(encode(FetchStateHead(1, 0)))
    target.receive(to, head)
    assert len(target.faults) == 1


def test_a_part_of_another_height_is_none_of_an_answer() -> None:
    source, target = source_of(20), Target()
    target.tick()
    target.exchange(source)
    to, question = target.sent.pop()
    honest = source.answer(question)
    assert isinstance(honest, StatePart)
    target.receive(to, replace(honest, height=2))
    assert target.faults == [] and target.sent == [] and not any(target.tables().values())
    target.receive(to, honest)
    assert target.sync.finished is not None


def test_what_others_send_unasked_changes_nothing() -> None:
    source, target = source_of(20), Target()
    target.tick()
    head = source.answer(target.sent[-1][1])
    assert isinstance(head, StateHead)
    asked = target.sent[-1][0]
    other = next(peer for peer in (0, 1, 2) if peer != asked)
    for message in (head, NoState(1)):
        target.receive(other, message)
    assert [to for to, _ in target.sent] == [asked]
    assert target.sync.progress().height == 0


# --- peers --------------------------------------------------------------------------------------------------


def test_a_silent_peer_is_left_after_a_while_and_every_peer_is_tried() -> None:
    target = Target()
    asked = []
    target.tick()
    while not target.sync.exhausted:
        asked.append(target.sent.pop()[0])
        target.tick(ANSWER_MS - 1)
        assert target.sent == []
        target.tick(1)
    assert sorted({*asked}) == [0, 1, 2]
    assert len(asked) <= 4


def test_peers_that_claim_too_little_are_not_asked() -> None:
    target = Target()
    target.claims = {0: 5, 1: 3, 2: 4}
    target.least = 4
    for _ in range(4):
        target.tick(ANSWER_MS)
    assert {to for to, _ in target.sent} == {0, 2}
    target.claims, target.sent = {}, []
    target.tick(ANSWER_MS)
    assert target.sync.exhausted and target.sent == []


def test_a_server_that_goes_away_is_replaced_and_nothing_is_fetched_twice() -> None:
    source, target, undisturbed = source_of(9_000), Target(), Target()
    questions = undisturbed.fetch(source)
    target.fetch(source, questions - 1)
    to, _ = target.sent.pop()
    target.receive(to, NoState(1))
    assert target.sent[-1][0] != to
    target.fetch(source)
    assert target.tables() == source.tables()
    assert target.sync.progress().bytes < undisturbed.sync.progress().bytes * 11 // 10


def test_a_peer_that_drips_is_left() -> None:
    """Honest answers, each just in time, far below any useful rate."""
    source, target = source_of(9_000), Target()
    target.tick()
    first = target.sent[-1][0]
    spent = 0
    while target.sent[-1][0] == first:
        to, question = target.sent.pop()
        answer = source.answer(question)
        if isinstance(answer, StatePart):
            answer = replace(answer, subtrees=answer.subtrees[:1])
        wait = ANSWER_MS - 1
        target.now_ms += wait
        spent += wait
        target.receive(to, answer)
        if not target.sent:
            target.tick()
    assert spent <= 3 * RATE_PERIOD_MS
    assert target.sync.progress().bytes < RATE_BYTES_MIN
    target.fetch(source)
    assert target.tables() == source.tables()


# --- the server ---------------------------------------------------------------------------------------------


def test_one_state_is_held_ready_for_all_and_given_up_when_nobody_asks() -> None:
    source = source_of(20)
    server = source.server

    def head(peer: int, least: int, now_ms: int) -> int:
        answer = decode(
            PeerMessage, server.head(peer, FetchStateHead(least, 0), now_ms).message or b""
        )
        return 0 if isinstance(answer, NoState) else server.pinned

    def ask(peer: int, now_ms: int) -> bool:
        answer = decode(
            PeerMessage,
            server.part(peer, FetchState(server.pinned, True, (b"",)), now_ms).message or b"",
        )
        return isinstance(answer, StatePart)

    assert head(0, 2, 0) == 0, "there is no such height yet"
    assert head(0, 1, 0) == 1
    source.write({1: 5})
    assert head(1, 1, 1) == 1, "shared, although there is a newer one"
    assert head(1, 2, 2) == 0, "not taken away from who uses it"
    assert ask(0, 10)
    server.tick(10 + PIN_IDLE_MS - 1)
    assert server.pinned == 1
    server.tick(10 + PIN_IDLE_MS)
    assert server.pinned == 0
    assert head(1, 2, 20) == 2, "nobody used the old one"
    for now_ms in range(20, 20 + PIN_MS_MAX, 1_000):
        assert ask(1, now_ms)
        server.tick(now_ms)
    assert head(0, 2, 20 + PIN_SHARED_MS_MAX) == 0, "too old for a newcomer"
    assert head(1, 2, 20 + PIN_SHARED_MS_MAX) == 2, "its only user may have a fresh one"
    server.tick(20 + PIN_SHARED_MS_MAX + PIN_MS_MAX)
    assert server.pinned == 0
    assert isinstance(
        decode(PeerMessage, server.part(1, FetchState(2, True, (b"",)), 0).message or b""), NoState
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), min_size=1, max_size=64), st.booleans())
def test_the_server_answers_any_question(paths: list[bytes], whole: bool) -> None:
    source = source_of(50)
    source.server.head(0, FetchStateHead(1, 0), 0)
    answer = decode(
        PeerMessage, source.server.part(0, FetchState(1, whole, tuple(paths)), 0).message or b""
    )
    assert isinstance(answer, StatePart | NoState)
    source.server.close()


def test_the_outline_is_under_the_certificate() -> None:
    """What ties the walk to the votes: count and tree hash make the signed root."""
    source = source_of(20)
    head = source.answer(encode(FetchStateHead(1, 0)))
    assert isinstance(head, StateHead)
    root = decode(Commit, head.certificate.vote).state_root
    assert tree_root(head.entities, head.tree) == root


# --- changes of the validator set that come with an offer (decision 0042) -----------------------------


def change(end: int, names: str) -> Handover:
    """A hand-over at the end of an epoch to the same keys under other names, by the first three."""
    members = tuple(replace(v, name=f"{names}{i}") for i, v in enumerate(VALIDATORS))
    header = encode(
        Header(
            GENESIS, 1, end - 1, end * 1_000, bytes(32), bytes(32), 1, 0, validators_hash(members)
        )
    )
    commit = Commit(end - 1, 0, end * 1_000, block_hash(header), bytes(32), bytes(32))
    return Handover(header, certificate_of(commit), members)


def offer_with(target: Target, source: Source, *handovers: Handover) -> int:
    """The peer that is asked offers a state with these; returns who that was."""
    if not target.sent:
        target.tick()
    to, question = target.sent.pop()
    head = source.answer(question)
    assert isinstance(head, StateHead)
    target.receive(to, replace(head, handovers=handovers))
    return to


def test_hand_overs_that_come_with_an_offer_are_followed_and_kept() -> None:
    source, target = source_of(20), Target()
    offer_with(target, source, change(1, "a"), change(2, "b"))
    assert target.faults == []
    assert target.handovers == [change(1, "a"), change(2, "b")]
    assert target.sync._succession.newest.since == 2


def test_as_many_as_fit_a_message_are_no_answer_yet() -> None:
    source, target = source_of(20), Target()
    many = [change(1 + i, f"n{i} ") for i in range(HANDOVERS_MAX)]
    to = offer_with(target, source, *many)
    assert target.faults == []
    ((asked, message),) = target.sent
    assert asked == to
    assert decode(PeerMessage, message) == FetchStateHead(1, HANDOVERS_MAX)


def test_a_hand_over_that_does_not_hold_or_was_not_asked_for_is_a_lie() -> None:
    good, later = change(1, "a"), change(2, "b")
    unsigned = replace(good.certificate, signatures=(bytes(64), *good.certificate.signatures[1:]))
    for wrong in (
        (replace(good, certificate=unsigned),),
        (replace(good, validators=later.validators),),
        (good, good),
    ):
        source, target = source_of(20), Target()
        first = offer_with(target, source, *wrong)
        assert len(target.faults) == 1
        assert target.sent[0][0] != first, "the next peer is asked"


def test_a_validator_does_not_wait_for_a_state_that_observers_hold() -> None:
    source = source_of(20)
    server = source.server

    def head(peer: int, least: int) -> int:
        answer = decode(PeerMessage, server.head(peer, FetchStateHead(least, 0), 0).message or b"")
        return 0 if isinstance(answer, NoState) else server.pinned

    first, second = -1, -2
    assert head(first, 1) == 1
    source.write({1: 5})
    assert head(second, 2) == 0, "among observers the first keeps its state"
    assert head(3, 2) == 2
    source.write({1: 6})
    assert head(first, 3) == 0, "a validator keeps its own"
