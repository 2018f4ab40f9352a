"""Recording: the same episodes from any number of processes, kept across kills, refused with a reason."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.experts.expert_toy import STEPS, Fatal, Toy, homing_policy
from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.envs.dmc import DMC
from viper_pipeline.experts import record as recording
from viper_pipeline.experts import record as rollout
from viper_pipeline.experts.policies import Variation, is_deterministic
from viper_pipeline.experts.record import record


def same(a, b):
    """Whether two lists of episodes are equal to the last bit."""
    return len(a) == len(b) and all(
        np.array_equal(x.frames, y.frames)
        and np.array_equal(x.rewards, y.rewards)
        and (x.seed, x.kind) == (y.seed, y.kind)
        for x, y in zip(a, b, strict=True)
    )


def episodes(n, kind, seed=0, **more):
    """Episodes of the toy."""
    return list(record(Toy, homing_policy(), n, kind, seed, **{"workers": 0, **more}))


def test_the_number_of_processes_changes_nothing():
    suite = DMC()
    rules = {"action_repeat": 100}
    spec = suite.frame_spec("ball_in_cup_catch", rules, {"shadows": False, "antialiasing": False})
    make = partial(suite.make, "ball_in_cup_catch", env=rules, frames=spec)
    none, one, two = (list(record(make, None, 3, "random", 7, workers=workers)) for workers in (0, 1, 2))
    assert same(none, one) and same(one, two)
    assert one[0].frames.shape == (11, 64, 64, 3)


def test_an_episode_is_whole_and_its_seed_repeats_it():
    first, second = episodes(2, "expert")
    assert first.frames.dtype == np.uint8 and len(first.frames) == len(first.rewards) == STEPS + 1
    assert first.rewards[0] == 0 and (first.rewards[1:] > 0).all()
    assert first.seed != second.seed
    env = Toy(0)
    assert np.array_equal(env.reset(seed=first.seed)[0], first.frames[0])


def test_seeds_differ_by_kind_index_and_seed_but_not_by_count():
    seeds = {e.seed for kind in ("expert", "noisy", "random", "idle") for e in episodes(3, kind)}
    seeds |= {e.seed for e in episodes(3, "expert", seed=1)}
    assert len(seeds) == 15
    assert same(episodes(2, "noisy"), episodes(5, "noisy")[:2])


def test_kinds_rank_as_they_should():
    mean = {kind: np.mean([e.ret for e in episodes(30, kind)]) for kind in ("expert", "noisy", "random", "idle")}
    assert mean["expert"] > mean["noisy"] > mean["random"]
    assert mean["expert"] > mean["idle"]


def test_idle_takes_the_suites_action():
    assert np.ptp([e.frames for e in episodes(1, "idle")], axis=1).max() == 0
    assert np.ptp([e.frames for e in episodes(1, "idle", idle=np.ones(2))], axis=1).max() > 0


def test_a_share_of_expert_episodes_is_deterministic():
    assert sum(is_deterministic(i, 0.25) for i in range(40)) == 10
    assert all(is_deterministic(i, 1.0) for i in range(9)) and not any(is_deterministic(i, 0) for i in range(9))
    mean, sampled = (episodes(1, "expert", variation=Variation(deterministic=share)) for share in (1, 0))
    assert np.array_equal(mean[0].frames[0], sampled[0].frames[0]) and not same(mean, sampled)


def test_more_noise_is_worse():
    def mean(noise, replace):
        level = Variation(noise=(noise,), replace=(replace,))
        return np.mean([e.ret for e in episodes(30, "noisy", variation=level)])

    assert mean(0.0, 0.0) > mean(2.0, 0.0) and mean(0.0, 0.0) > mean(0.0, 0.9)
    with pytest.raises(ValueError, match="give as many"):
        Variation(noise=(1.0,), replace=(0.1, 0.2))


def test_experts_under_noise_take_its_levels_in_turn_and_are_pushed_further_from_home():
    plain, pushed = (
        episodes(20, "expert", variation=Variation(deterministic=1, expert_noise=levels)) for levels in ((0,), (0, 1))
    )
    assert same(plain[::2], pushed[::2]) and not same(plain, pushed)
    assert np.mean([e.ret for e in plain[1::2]]) > np.mean([e.ret for e in pushed[1::2]])
    assert same(plain, episodes(20, "expert", variation=Variation(deterministic=1)))
    assert same(episodes(2, "noisy"), episodes(2, "noisy", variation=Variation(expert_noise=(1,)))), "experts alone"


def test_a_stopped_recording_resumes(tmp_path, monkeypatch):
    whole = episodes(6, "noisy")
    made = []
    keep = rollout.keep
    monkeypatch.setattr(rollout, "keep", lambda job, *rest: made.append(job.index) or keep(job, *rest))
    stream = record(Toy, homing_policy(), 6, "noisy", 0, workers=0, scratch=tmp_path)
    begun = [next(stream) for _ in range(2)]
    stream.close()
    (tmp_path / "noisy-00001.npz").write_bytes(b"half a file")
    reports = []
    again = episodes(6, "noisy", scratch=tmp_path, progress=lambda *report: reports.append(report[:2]))
    assert same(begun, whole[:2]) and same(again, whole)
    assert made == [0, 1, 1, 2, 3, 4, 5]
    assert reports == [(i + 1, 6) for i in range(6)]
    assert same(episodes(6, "noisy", seed=1, scratch=tmp_path), episodes(6, "noisy", seed=1))


def test_a_process_that_dies_is_one_clear_error():
    with pytest.raises(BadEnvironment, match="died before episode 0"):
        list(record(Fatal, None, 2, "random", 0, workers=1))


def test_two_recordings_side_by_side_do_not_meet():
    pairs = zip(*(record(Toy, None, 3, kind, 0, workers=0) for kind in ("random", "idle")), strict=True)
    moving, still = zip(*pairs, strict=True)
    assert same(list(moving), episodes(3, "random")) and same(list(still), episodes(3, "idle"))


def test_impossible_requests():
    with pytest.raises(BadParams, match="did you mean 'expert'"):
        record(Toy, None, 1, "exprt", 0)
    with pytest.raises(BadParams, match="need an expert's policy"):
        record(Toy, None, 1, "expert", 0)


def test_no_process_forks_and_leaving_early_stops_them(monkeypatch):
    pools = []

    class Watched(recording.ProcessPoolExecutor):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            pools.append(self)
            self.context = args[1]

    monkeypatch.setattr(recording, "ProcessPoolExecutor", Watched)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    stream = record(Toy, None, 200, "random", 0, workers=1)
    next(stream)
    (pool,) = pools
    processes = list(pool._processes.values())
    assert pool.context.get_start_method() == "spawn"
    assert all(process.is_alive() for process in processes)
    stream.close()
    assert not any(process.is_alive() for process in processes)


def test_a_recording_process_imports_no_torch():
    code = "import sys, viper_pipeline.experts.record; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parent).returncode == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_no_process_is_left(how):
    code = "import expert_toy; expert_toy.record_slowly()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # where these tests run in the background, a shell has made them deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert parent.stdout.readline() == "recording\n"
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert len(workers) >= 2
    if how == signal.SIGINT:
        os.killpg(parent.pid, how)  # as a terminal does: to parent and workers alike
    else:
        parent.kill()
    assert parent.wait(90) != 0
    _, alive = psutil.wait_procs(workers, timeout=90)
    assert not alive
