"""The suite's own logic: goals are judged by medians, an interrupted suite goes on, the document is rewritten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.bench_goals import GOALS, Figures, judge, rows
from tools.bench_parts import PARTS, Once, Part, Scale
from tools.bench_plot import Point, plot
from tools.bench_suite import BEGIN, END, Results, chosen, run_suite, write_document
from tools.bench_world import BenchFailed

FAST = {"commands_per_second": 9_500.0, "cpu_us": 45.0, "verify_us": 34.0}


def part(name: str, run: Callable[[], Figures]) -> Part:
    @asynccontextmanager
    async def opened(_scale: Scale) -> AsyncIterator[Once]:
        async def once() -> Figures:
            return run()

        yield once

    return Part(name, "for a test", opened, minutes=1)


def suite(*parts: Part, file: Path | None = None, runs: int = 1, only: str = "") -> int:
    return run_suite(
        runs=runs, only=only, json_file=file, commit="c", write_docs=False, parts=parts
    )


# --- goals ----------------------------------------------------------------------------------------


def test_the_median_is_judged_and_the_range_shown() -> None:
    runs = [{"cpu_percent": value} for value in (0.5, 3.0, 0.7)]
    (judged,) = judge({"idle": runs})
    assert (judged.median, judged.least, judged.most) == (0.7, 0.5, 3.0)
    assert judged.is_met
    assert judged.measured == "0.70 % (0.50 – 3.00)"


def test_a_figure_at_its_bound_meets_the_goal_and_one_beyond_does_not() -> None:
    for goal in GOALS:
        beyond = goal.bound * (0.99 if goal.at_least else 1.01)
        assert goal.is_met(goal.bound)
        assert not goal.is_met(beyond)


def test_the_table_has_every_goal_and_says_what_was_not_measured() -> None:
    table = rows({"envelopes": [FAST]})
    assert len(table) == len(GOALS)
    assert ("envelopes of 100 commands", "≥ 9,000 /s", "9,500 /s", "yes") in table
    assert [met for *_, met in table].count("") == len(GOALS) - 2


def test_beside_cpu_stands_what_a_verification_took() -> None:
    measured = [row[2] for row in rows({"envelopes": [FAST, FAST | {"verify_us": 36.0}]})]
    assert "45.0 µs (45.0 – 45.0); a verification 35.0 µs" in measured


def test_every_goal_belongs_to_a_part_of_the_suite() -> None:
    assert {goal.part for goal in GOALS} <= {each.name for each in PARTS}


# --- the suite --------------------------------------------------------------------------------------


def test_a_goal_that_is_not_met_shows_in_the_exit_code() -> None:
    assert suite(part("envelopes", lambda: FAST)) == 0
    assert suite(part("envelopes", lambda: FAST | {"cpu_us": 51.0})) == 6


def test_an_interrupted_suite_goes_on_with_the_run_that_is_missing(tmp_path: Path) -> None:
    file, done = tmp_path / "suite.json", []

    def run() -> Figures:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return FAST

    with pytest.raises(BaseException) as interrupted:
        suite(part("envelopes", run), file=file, runs=3)
    assert "KeyboardInterrupt" in repr(interrupted.value)
    assert len(Results.load(file, "c").parts["envelopes"]) == 2
    again: list[int] = []
    suite(part("envelopes", lambda: again.append(1) or FAST), file=file, runs=3)
    assert len(again) == 1
    assert len(Results.load(file, "c").parts["envelopes"]) == 3


def test_a_part_that_fails_does_not_end_the_suite(tmp_path: Path) -> None:
    def fails() -> Figures:
        raise BenchFailed("REFUSED", "for a test")

    file = tmp_path / "suite.json"
    assert suite(part("idle", fails), part("envelopes", lambda: FAST), file=file) == 6
    assert list(Results.load(file, "c").parts) == ["envelopes"]


def test_only_the_named_parts_run_and_an_unknown_name_is_refused() -> None:
    assert [each.name for each in chosen("lots, idle")] == ["idle", "lots"]
    with pytest.raises(BenchFailed, match="the parts are idle"):
        chosen("lot")


def test_results_of_another_commit_are_not_mixed_in(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    suite(part("envelopes", lambda: FAST), file=file)
    with pytest.raises(BenchFailed, match="RESULTS_OTHER"):
        Results.load(file, "another")
    file.write_text("[]")
    with pytest.raises(BenchFailed, match="RESULTS_UNREADABLE"):
        Results.load(file, "c")


# --- what is published --------------------------------------------------------------------------------


def results() -> Results:
    curve = {
        f"{name}_{n}": float(value)
        for n, point in enumerate([(100, 99, 9, 12), (200, 180, 30, 90), (300, 175, 35, 95)])
        for name, value in zip(("offered", "committed", "p50_ms", "p99_ms"), point, strict=True)
    }
    return Results("a machine", "c0ffee", {"envelopes": [FAST], "curve": [curve]})


def test_the_document_keeps_its_prose_and_gets_the_figures(tmp_path: Path) -> None:
    document, picture = tmp_path / "performance.md", tmp_path / "performance.svg"
    document.write_text(f"# Before\n\n{BEGIN}\nold figures\n{END}\n\nAfter.\n")
    write_document(results(), document, picture)
    text = document.read_text()
    assert text.startswith(f"# Before\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "old figures" not in text
    assert "| envelopes of 100 commands | ≥ 9,000 /s | 9,500 /s | yes |" in text
    assert "a machine, commit c0ffee." in text
    assert "](performance.svg)" in text
    before = text
    write_document(results(), document, picture)
    assert document.read_text() == before


def test_a_document_without_markers_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"{BEGIN}\n")
    with pytest.raises(BenchFailed, match="NO_MARKERS"):
        write_document(results(), document, tmp_path / "performance.svg")
    assert document.read_text() == f"{BEGIN}\n"


def test_the_plot_has_a_mark_per_point_and_line_inside_its_frame() -> None:
    points = results().points
    assert points[1] == Point(180.0, 30.0, 90.0)
    root = ElementTree.fromstring(plot(points, "title"))
    marks = root.findall("{*}circle")
    assert len(marks) == 2 * len(points)
    places = [(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in marks]
    assert all(70 <= x <= 730 and 50 <= y <= 360 for x, y in places)
    assert places[0][0] < places[2][0] < places[1][0]  # beyond full load the line turns back
    assert places[3][1] < places[0][1]  # p99 stands above p50
    assert "title" in [text.text for text in root.findall("{*}text")]
