"""What a run shows: the lines of stages, and how long it will take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from viper_pipeline.dvc_bridge.scheduler import Costs, State, Tail, minutes


def test_lines_are_shown_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tail = Tail(log)
    assert tail.lines() == []
    log.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    with log.open("ab") as file:
        file.write(b"o\nthree")
    assert tail.lines() == ["two"]
    assert tail.lines(last=True) == ["three"]
    assert tail.lines(last=True) == []


def test_of_a_progress_bar_its_last_state_is_shown(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    (tmp_path / "log").write_bytes(b"1%\r50%\r100%\nnext\r\n")
    assert tail.lines() == ["100%", "next"]


@pytest.fixture
def costs(tmp_path: Path) -> Costs:
    folder = tmp_path / ".viper/costs"
    folder.mkdir(parents=True)
    for name, seconds in (("s.train.a", 10), ("s.train.b", 20), ("s.score.all", 4)):
        (folder / f"{name}.json").write_text(json.dumps({"seconds": seconds, "peak_rss_mb": 1}))
    return Costs(tmp_path)


def test_a_stage_takes_as_long_as_last_time_or_as_its_like(costs: Costs) -> None:
    assert costs.expected("s.train.a") == 10
    assert costs.expected("s.train.c") == 15
    assert costs.expected("other.train.c") is None


def test_the_estimate_shrinks_as_time_goes_on_and_more_jobs_help(costs: Costs) -> None:
    waiting, late = ["s.train.a", "s.score.all"], {"s.train.b": 500.0}
    estimates = [costs.left(waiting, {"s.train.b": seconds}, 1) for seconds in (0.0, 5.0, 15.0)]
    assert None not in estimates and estimates == sorted(estimates, reverse=True) and len(set(estimates)) == 3
    assert costs.left(waiting, {"s.train.b": 0.0}, 2) < costs.left(waiting, {"s.train.b": 0.0}, 1)
    assert costs.left(waiting, {"s.train.b": 0.0}, 99) == 20  # no job is split
    assert costs.left(waiting, late, 1) == 14  # late, but never less than nothing
    assert costs.left(["other.train.c"], {}, 1) is None
    assert costs.left([], {}, 1) == 0


def test_the_summary_counts_every_stage() -> None:
    state = State(total=9, done=3, waiting=4, left=130.0, running={"a": (1.0, None), "b": (2.0, 3.0)})
    assert state.summary() == "3 of 9 done, 2 running, 4 waiting, about 2.2 min left"
    assert [minutes(s) for s in (3, 200, 9000)] == ["3 s", "3.3 min", "2.5 h"]
