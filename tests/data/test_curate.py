"""Curation: the best, split by episode, masked and strided exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.makers import episode
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.curation import CurationConfig, choose_episodes, show, shown
from viper_pipeline.envs.base import Rect


@settings(max_examples=60, deadline=None)
@given(
    returns=st.lists(st.floats(-1000, 1000) | st.just(float("nan")), min_size=4, max_size=40),
    top=st.integers(3, 30),
    held=st.integers(1, 2),
)
def test_the_best_are_kept_and_split_by_episode(returns, top, held):
    train, held_out, test = choose_episodes(returns, CurationConfig(top_k=top, held_out=held), "here")
    assert test == []
    kept = train + held_out
    assert len(kept) == len(set(kept)) == min(top, len(returns))
    assert len(held_out) == held and train
    rank = [-np.inf if np.isnan(r) else r for r in returns]
    left = [r for i, r in enumerate(rank) if i not in kept]
    assert not left or min(rank[i] for i in kept) >= max(left)
    # what is held out is neither the very best nor, where there is a choice, the very worst
    best = sorted(kept, key=lambda i: -rank[i])[0]
    assert len(kept) < 3 or rank[best] >= max(rank[i] for i in held_out)


def test_videos_of_unknown_return_keep_their_order():
    train, held_out, _ = choose_episodes([float("nan")] * 6, CurationConfig(top_k=5, held_out=1), "here")
    assert sorted(train + held_out) == [0, 1, 2, 3, 4] and train == sorted(train)


def test_episodes_for_the_report_s_test_are_taken_from_the_others_and_spread_over_the_ranks():
    returns = np.arange(20.0)
    without = choose_episodes(returns, CurationConfig(top_k=20, held_out=3), "here")
    split = choose_episodes(returns, CurationConfig(top_k=20, held_out=3, test=4), "here")
    assert split.held_out == without.held_out and len(split.test) == 4
    assert sorted(split.train + split.held_out + split.test) == list(range(20))
    assert not set(split.test) & (set(split.train) | set(split.held_out))
    assert max(np.diff(sorted(split.test))) <= 6
    with pytest.raises(BadData, match=r"curation\.held_out and curation\.test"):
        choose_episodes(returns, CurationConfig(top_k=20, held_out=3, test=17), "here")


def test_too_few_episodes_are_refused_with_the_field():
    with pytest.raises(BadData, match=r"my\.h5: 2 expert episodes.*curation\.held_out"):
        choose_episodes([1.0, 2.0], CurationConfig(top_k=5, held_out=2), "my.h5")


@settings(max_examples=40, deadline=None)
@given(length=st.integers(2, 40), stride=st.integers(1, 7))
def test_a_stride_keeps_every_sth_frame_and_every_reward(length, stride):
    e = episode(length)
    config = CurationConfig(top_k=1, held_out=1, stride=stride)
    if -(-length // stride) < 2:
        with pytest.raises(BadData, match=r"curation\.stride"):
            show(e, config, [], "here")
        return
    kept = show(e, config, [], "here")
    assert np.array_equal(kept.frames, e.frames[::stride])
    assert kept.ret == pytest.approx(e.ret, rel=1e-5)
    assert kept.rewards[1] == pytest.approx(e.rewards[: stride + 1].sum(), rel=1e-5) or len(kept) == 2


@settings(max_examples=40, deadline=None)
@given(length=st.integers(8, 40), stride=st.integers(1, 4))
def test_every_frame_of_a_training_video_is_kept_by_one_of_its_offsets(length, stride):
    e = episode(length)
    config = CurationConfig(top_k=1, held_out=1, stride=stride, offsets="all")
    kept = list(shown([e], [0], config, [], "here", config.starts("train")))
    assert len(kept) == stride
    for offset, video in enumerate(kept):
        assert np.array_equal(video.frames, e.frames[offset::stride])
        assert video.rewards[0] == 0 and video.ret == pytest.approx(e.ret, rel=1e-5)
    assert sum(map(len, kept)) == length
    assert config.starts("held_out") == CurationConfig(top_k=1, held_out=1, stride=stride).starts("train") == range(1)


def test_videos_of_one_offset_come_before_those_of_the_next():
    episodes = [episode(seed=i) for i in range(3)]
    config = CurationConfig(top_k=2, held_out=1, stride=2, offsets="all")
    assert [e.seed for e in shown(episodes, [2, 0], config, [], "x", config.starts("train"))] == [2, 0, 2, 0]


def test_a_mask_blackens_exactly_its_rectangles():
    e = episode()
    mask = [Rect(top=0, left=0, bottom=2, right=8), Rect(top=6, left=3, bottom=8, right=5)]
    kept = show(e, CurationConfig(top_k=1, held_out=1), mask, "here")
    inside = np.zeros((8, 8), bool)
    inside[:2] = inside[6:8, 3:5] = True
    assert (kept.frames[:, inside] == 0).all()
    assert np.array_equal(kept.frames[:, ~inside], e.frames[:, ~inside])
    assert e.frames[:, inside].any()  # the original is untouched


def test_chosen_episodes_come_in_their_order():
    episodes = [episode(seed=i) for i in range(5)]
    assert [e.seed for e in shown(episodes, [3, 0], CurationConfig(top_k=2, held_out=1), [], "x")] == [3, 0]
