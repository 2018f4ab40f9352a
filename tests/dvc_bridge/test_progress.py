"""What a run shows: the lines of stages, how far each is, and how long all will take."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from viper_pipeline.dvc_bridge.estimates import Cost, Costs, Left, Reported, minutes, plan_text, simulated
from viper_pipeline.dvc_bridge.screen import Running, Screen, State, Tail
from viper_pipeline.training import progress


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
    return Costs(tmp_path, {"s.train.a": Cost(99.0, "a big one"), "s.draw.a": Cost(7.0, "a big one")})


def test_a_stage_takes_as_long_as_last_time_or_as_its_like_or_as_for_committed_results(costs: Costs) -> None:
    assert costs.expected("s.train.a") == 10
    assert costs.expected("s.train.c") == 15
    assert costs.expected("s.draw.a") == costs.expected("s.draw.b") == 7
    assert costs.expected("other.train.c") is None
    assert costs.sources(["s.train.a", "s.train.c"]) == "as long as they took here"
    assert "here or for the committed results, on a big one" in costs.sources(["s.train.a", "s.draw.a"])


def test_what_a_running_stage_says_tells_of_its_like(costs: Costs) -> None:
    costs.reported["new.train.a"] = 50.0
    assert costs.expected("new.train.b") == 50
    assert costs.expected("new.score.b") is None


def test_the_clock_follows_chains_and_jobs() -> None:
    chain = {"a": set(), "b": {"a"}, "c": {"b"}, "x": set(), "y": set(), "z": set()}

    def left(jobs: int, running: dict[str, float] | None = None, seconds: float | None = 10.0) -> Left:
        return simulated(chain, lambda stage: seconds, running or {}, jobs)

    assert [left(jobs).seconds for jobs in (1, 2, 3, 99)] == [60, 30, 30, 30]
    assert left(1, {"r": 5.0}).seconds == 65
    assert left(2, {"r": 500.0}).seconds == 500
    assert left(2, seconds=None) == Left(0.0, 6)
    assert simulated({}, lambda stage: 1.0, {}, 2) == Left(0.0)
    waits = simulated({"b": {"r"}}, lambda stage: 3.0, {"r": 4.0}, 2)
    assert waits.seconds == 7


def test_progress_in_a_log_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text that stages write and the one that is read are the same."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    report = progress.Report("tokenizer of a  b", stream=stream)
    for step, seconds in ((0, 0), (50, 25), (100, 25 + 20)):
        clock[0] = 100.0 + seconds
        report(step, 400, {"loss": 0.5})
    first, second, third = (Reported.read(line) for line in stream.getvalue().splitlines())
    assert first is not None and (first.done, first.total, first.left) == (0, 400, None)
    assert second is not None and second.seconds_left(second.when) == 175
    assert third is not None and third.seconds_left(third.when + 35) == 100
    hours = Reported.read("agent  1/9  0:20 < 1:02:03")
    assert hours is not None and hours.left == 3723
    for line in ("", "loss 3/4 of it", "ValueError: 1/2  0:20 < much"):
        assert Reported.read(line) is None


def test_the_summary_counts_every_stage() -> None:
    state = State(9, 3, 4, left=Left(130.0), running={"a": Running(1.0), "b": Running(2.0, 3.0)})
    assert state.summary() == "3 of 9 done, 2 running, 4 waiting, about 2.2 min left"
    state.left = Left(130.0, 1)
    assert state.summary().endswith("about 2.2 min left, and 1 stage never timed")
    state.left = Left(0.0, 4)
    assert state.summary().endswith("4 waiting")
    assert [minutes(s) for s in (3, 200, 9000)] == ["3 s", "3.3 min", "2.5 h"]
    assert state.running["b"].share == 0.4 and state.running["a"].share is None


def test_the_plan_says_what_will_run_and_for_how_long() -> None:
    lines = plan_text([("s.train", 60.0), ("s.train", 180.0), ("s.draw", None)], 7, 2, Left(200.0, 1), "so")
    assert lines[0] == "3 of 7 stages to run, 2 at a time; about 3.3 min, and 1 stage never timed, if they take so:"
    assert [line.split() for line in lines[1:]] == [["2", "s.train", "2.0", "min", "each"], ["1", "s.draw", "?"]]
    assert "never timed yet:" in plan_text([("s.draw", None)], 7, 2, Left(0.0, 1), "there")[0]


def test_a_terminal_shows_a_bar_for_each_running_stage_and_one_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("sys.stdout", stream := Terminal())
    with Screen() as screen:
        assert screen.bars
        for left, share in ((30.0, 0.25), (20.0, 0.5)):
            running = {"pipelines/dmc/dvc.yaml:train@a": Running(10.0, left, "20/80"), "b": Running(1.0)}
            screen.show(State(9, 3, 4, 50.0, Left(left), share, running))
            screen.bars.rich.refresh()
        screen.say("an event")
        assert list(screen.bars.tasks)[-1] == screen.bars.ALL
        screen.show(State(9, 3, 4, 50.0, Left(9.0), 0.75, {"c": Running(1.0)}))
        screen.bars.rich.refresh()
        assert list(screen.bars.tasks) == ["c", screen.bars.ALL]
    text = stream.getvalue()
    assert "train@a" in text and "< 20 s" in text and "20/80" in text
    assert "50%" in text and "75%" in text
    assert "3 of 9 done, 2 running, 4 waiting, about 20 s left" in text
    assert "an event" in text
