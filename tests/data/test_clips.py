"""Clips: a pure function of the step, fair to tasks, never across episodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.makers import episode, file
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.sampler import ClipSampler


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    paths = [file(folder / f"{t}.h5", {"train": [episode(6 + 5 * i, 10 * t + i) for i in range(3)]}) for t in range(2)]
    return [EpisodeFile(p).group("train") for p in paths]


@settings(max_examples=30, deadline=None)
@given(step=st.integers(0, 10**6), length=st.integers(1, 6), batch=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_clip_is_consecutive_frames_of_one_episode_of_its_task(groups, step, length, batch, seed):
    clips, tasks = ClipSampler(groups, length, batch, seed)(step)
    assert clips.shape == (batch, length, 8, 8, 3)
    for clip, task in zip(clips, tasks, strict=True):
        owner, time = clip[:, 0, 0, 0], clip[:, 0, 1, 0].astype(int)
        assert len(set(owner)) == 1 and owner[0] // 10 == task
        assert (np.diff(time) == 1).all()


def test_the_same_step_gives_the_same_batch_from_disk_and_from_memory(groups):
    memory, disk = ClipSampler(groups, 4, 8, 1), ClipSampler(groups, 4, 8, 1, ram_limit=0)
    for step in (0, 7, 123):
        for a, b in zip(memory(step), disk(step), strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(memory(1)[0], memory(2)[0])
    assert not np.array_equal(memory(1)[0], ClipSampler(groups, 4, 8, 2)(1)[0])


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_tasks_come_equally_often(groups, batch):
    sampler = ClipSampler(groups, 2, batch, 0)
    counts = np.bincount(np.concatenate([sampler(step)[1] for step in range(20)]))
    assert abs(counts[0] - counts[1]) <= 1


def test_every_clip_is_drawn_in_time(groups):
    sampler = ClipSampler(groups[:1], 6, 16, 0)
    seen = {(c[0, 0, 0, 0], c[0, 0, 1, 0]) for step in range(40) for c in sampler(step)[0]}
    assert len(seen) == sum(n - 6 + 1 for n in (6, 11, 16))


def test_a_clip_longer_than_every_episode_is_refused(groups):
    with pytest.raises(BadData, match=r"17 frames of a clip \(longest: 16\)"):
        ClipSampler(groups, 17, 2, 0)
