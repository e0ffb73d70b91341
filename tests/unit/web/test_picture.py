"""The picture of a voucher: to scale, and nothing too small to be seen."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from node.web.picture import LABEL_STEP, STRATA_MAX, STRATUM, VISIBLE, WIDTH, slabs, strata
from tallynet.receipts import Event
from tallynet.records import AcquiredBy, Lot, LotState


def lot(start: int, end: int) -> Lot:
    return Lot(
        start, end, b"h" * 16, LotState.HELD, None, 0, 0, 0, 0, AcquiredBy.ISSUE, None, None, 0, 0
    )


@st.composite
def cut_faces(draw: st.DrawFn) -> tuple[int, list[Lot]]:
    """A face, and some of the lots that tile it: the others are not shown."""
    face = draw(st.integers(1, 10**17 - 1))
    cuts = draw(st.sets(st.integers(1, max(1, face - 1)), max_size=60))
    places = sorted({0, face, *(cut for cut in cuts if cut < face)})
    whole = [lot(a, b) for a, b in pairwise(places)]
    return face, [one for one in whole if draw(st.integers(0, 9))]


@given(cut_faces())
def test_it_tiles_the_face_and_every_lot_can_be_seen(cut: tuple[int, list[Lot]]) -> None:
    face, lots = cut
    found = slabs(face, lots)
    assert found[0].start == 0
    assert found[-1].end == face
    assert all(a.end == b.start for a, b in pairwise(found))
    assert [slab.lot for slab in found if slab.lot] == lots
    least = min(VISIBLE, WIDTH / len(found))
    assert all(slab.width >= least - 0.01 for slab in found)
    assert abs(sum(slab.width for slab in found) - WIDTH) < 0.01 * len(found)
    assert all(abs(a.x + a.width - b.x) < 0.02 for a, b in pairwise(found))


@given(cut_faces())
def test_larger_lots_are_no_narrower(cut: tuple[int, list[Lot]]) -> None:
    by_size = sorted(slabs(*cut), key=lambda slab: slab.end - slab.start)
    assert all(a.width <= b.width + 0.01 for a, b in pairwise(by_size))


@given(cut_faces())
def test_numbers_stand_in_order_beside_one_another(cut: tuple[int, list[Lot]]) -> None:
    found = slabs(*cut)
    labels = [slab.label for slab in found if slab.label is not None]
    assert len(labels) in (0, len(found))
    assert all(b - a >= LABEL_STEP - 0.02 for a, b in pairwise(labels))
    assert all(0 <= label <= WIDTH for label in labels)


def test_widths_are_to_scale() -> None:
    found = slabs(1_000, [lot(0, 250), lot(250, 1_000)])
    assert [slab.width for slab in found] == [WIDTH / 4, WIDTH * 3 / 4]


def test_a_fen_of_half_a_million_is_visible() -> None:
    face = 50_000_000
    tiny = slabs(face, [lot(0, face - 1), lot(face - 1, face)])[1]
    assert tiny.width == VISIBLE


def act(type: str, start: int, end: int, sequence: int = 0) -> Event:
    return Event(type, 9, b"v" * 16, sequence, start, end, None, None, 0, b"", None)


def test_each_act_is_a_row_above_the_cuts_that_were_there_before_it() -> None:
    story = [
        act("voucher.issue", 0, 1_000),
        act("voucher.claim", 0, 0),
        act("lot.transfer", 600, 1_000),
        act("financing.draw", 900, 1_000),
    ]
    issue, transfer, draw = strata(1_000, story)
    assert (issue.x, issue.width, issue.cuts) == (0, WIDTH, ())
    assert (transfer.x, transfer.width, transfer.cuts) == (600, 400, ())
    assert (draw.x, draw.cuts) == (900, (600,)), "the end of the face is no cut"
    assert [row.y for row in (issue, transfer, draw)] == [0, STRATUM, 2 * STRATUM]
    assert [row.tone.name for row in (issue, transfer, draw)] == [
        "PENDING_CLAIM",
        "HELD",
        "PLEDGED",
    ]
    assert [row.words for row in (issue, transfer, draw)] == ["inside", "before", "before"]


def test_of_many_acts_the_newest_are_shown_and_all_of_their_cuts() -> None:
    story = [act("lot.transfer", n, n + 1, n) for n in range(1, STRATA_MAX + 11)]
    rows = strata(100, story)
    assert [row.event.sequence for row in rows] == list(range(11, STRATA_MAX + 11))
    assert len(rows[0].cuts) == 11


def test_an_act_on_a_fen_of_a_large_face_can_be_seen() -> None:
    (row,) = strata(10**15, [act("lot.transfer", 10**15 - 1, 10**15)])
    assert (row.x, row.width) == (WIDTH - VISIBLE, VISIBLE)
