"""How well a reward separates: AUROC by hand, its interval simulated, the hardest kind, correlations within kinds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from viper_pipeline.reporting.reward_metrics import (
    auroc,
    reward_metrics,
    reward_time_correlation,
    running_means,
    separation,
    spearman,
)
from viper_pipeline.rewards.evaluation import pack
from viper_pipeline.rewards.scores import unpack, unpack_frames

values = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(values, values)
def test_auroc_is_the_share_of_pairs_won(better, worse):
    pairs = [1.0 if b > w else 0.5 if b == w else 0.0 for b in better for w in worse]
    assert auroc(np.array(better), np.array(worse)) == pytest.approx(np.mean(pairs))
    assert auroc(np.array(better), np.array(worse)) == pytest.approx(1 - auroc(np.array(worse), np.array(better)))


def episodes(rng, count, shift, share, frames=40):
    """Scores of episodes: `share` of their variance is between episodes, the rest between frames."""
    return [shift + share**0.5 * rng.normal() + (1 - share) ** 0.5 * rng.normal(size=frames) for _ in range(count)]


@pytest.mark.parametrize("truth", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("experts, others", [(6, 8), (6, 40), (12, 12)])
def test_the_interval_of_an_auroc_covers_about_95_percent(truth, share, experts, others):
    rng = np.random.default_rng([experts, others])
    shift = stats.norm.ppf(truth) * 2**0.5
    hits = 0
    for _ in range(1000):
        found = separation(episodes(rng, experts, shift, share), episodes(rng, others, 0, share))
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 1000 <= 0.98


def test_an_interval_that_took_frames_for_independent_would_be_far_too_narrow():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        better, worse = episodes(rng, 6, 1, 0.5), episodes(rng, 8, 0, 0.5)
        alone = separation([v[[i]] for v in better for i in range(40)], [v[[i]] for v in worse for i in range(40)])
        hits += alone.low <= stats.norm.cdf(1 / 2**0.5) <= alone.high
    assert hits / 200 < 0.7


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 6), st.integers(3, 6))
def test_a_separation_is_an_auroc_and_its_interval_turns_with_the_sides(seed, experts, others):
    rng = np.random.default_rng(seed)
    better, worse = (
        [rng.integers(0, 9, rng.integers(2, 7)).astype(float) for _ in range(n)] for n in (experts, others)
    )
    forth, back = separation(better, worse), separation(worse, better)
    assert forth.value == pytest.approx(auroc(np.concatenate(better), np.concatenate(worse)))
    assert forth.value == pytest.approx(1 - back.value)
    if forth.low is not None:
        assert forth.low <= forth.value <= forth.high
        assert (forth.low, forth.high) == pytest.approx((1 - back.high, 1 - back.low))


def test_two_episodes_or_a_perfect_score_have_no_interval():
    rng = np.random.default_rng(0)
    assert separation(episodes(rng, 2, 0, 0.1), episodes(rng, 8, 0, 0.1)).low is None
    perfect = separation(episodes(rng, 6, 99, 0.1), episodes(rng, 8, 0, 0.1))
    assert perfect.value == 1 and perfect.low is None and perfect.high is None


def test_spearman_is_scipys_and_nothing_for_constants():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(x, np.ones(30)) == 0.0


def test_a_reward_that_grows_with_time_correlates_with_it():
    assert reward_time_correlation([np.arange(9.0), np.arange(5.0) ** 2]) == pytest.approx(1)
    assert reward_time_correlation([-np.arange(9.0)]) == pytest.approx(-1)


MEANS = {"train": -5, "held_out": -8, "test": -12, "random": -90, "idle": -60, "contrast": -14, "frozen_0": -7}


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    return {kind: [rng.normal(mean, 3, 60) for _ in range(6)] for kind, mean in MEANS.items()}


def test_the_headline_is_against_the_hardest_play_and_never_against_what_no_player_does(scores):
    found = reward_metrics(scores, {})
    assert found["auroc_frame"]["against"] == "contrast"
    assert found["auroc_frame"]["value"] == found["kinds"]["contrast"]["auroc_frame"]["value"] < 0.8
    assert found["kinds"]["frozen_0"]["auroc_frame"]["value"] < 0.5  # looks better than the experts, is no play
    assert found["auroc_window"] is None and "auroc_window" not in found["kinds"]["random"]


def test_test_videos_stand_for_experts_where_there_are_any(scores):
    assert reward_metrics(scores, {})["experts"] == "test"
    without = {kind: videos for kind, videos in scores.items() if kind != "test"}
    found = reward_metrics(without, {})
    assert found["experts"] == "held_out" and "auroc_frame" not in found["kinds"]["held_out"]
    assert found["auroc_frame"]["value"] > reward_metrics(scores, {})["auroc_frame"]["value"]


def test_rank_correlations_are_within_kinds_and_not_of_the_gap_between_them(scores):
    """Kinds differ in nats and in returns; inside each there is no order, so that nothing correlates."""
    rng = np.random.default_rng(1)
    returns = {"held_out": 900 + rng.normal(size=6), "random": 10 + rng.normal(size=6), "idle": np.full(6, 0.0)}
    returns["contrast"] = np.array([1.0, np.nan, np.nan, np.nan, np.nan, 2.0])
    ordered = {**scores, "held_out": [np.full(60, -8 + value - 900) for value in returns["held_out"]]}
    found = reward_metrics(ordered, returns)["spearman"]
    assert found["held_out"] == {"value": pytest.approx(1), "videos": 6}
    assert abs(found["random"]["value"]) < 1
    assert found["idle"]["value"] is None  # all returns are equal
    assert found["contrast"] == {"value": None, "videos": 2}


def test_a_reward_of_windows_shows_single_frames_too(scores):
    smooth = {kind: [np.convolve(v, np.ones(8), "same") for v in videos] for kind, videos in scores.items()}
    found = reward_metrics(smooth, {}, scores, "joint")
    assert found["auroc_window"]["value"] > found["auroc_frame"]["value"]
    assert reward_metrics(smooth, {}, None, "joint")["auroc_frame"] is None


def test_scores_of_frames_travel_beside_those_of_windows(scores):
    frames = {kind: [v + 1 for v in videos] for kind, videos in scores.items()}
    packed = pack("a", scores, {"train": np.arange(6.0)}, frames)
    again, returns = unpack("a", packed)
    assert set(again) == set(scores) and returns["train"].tolist() == list(range(6))
    found = unpack_frames("a", packed)
    assert found.keys() == frames.keys()
    assert all(np.allclose(x, y, atol=1e-5) for k in frames for x, y in zip(found[k], frames[k], strict=True))
    assert unpack_frames("a", pack("a", scores, {})) is None


def test_means_of_a_few_frames_separate_what_single_ones_blur(scores) -> None:
    found = reward_metrics(scores, {})["kinds"]["contrast"]
    assert found["auroc_mean"]["value"] > found["auroc_frame"]["value"] + 0.05
    assert found["auroc_mean"]["ci95_low"] < found["auroc_mean"]["value"]
    smooth = {kind: [np.convolve(v, np.ones(8), "same") for v in videos] for kind, videos in scores.items()}
    assert reward_metrics(smooth, {}, scores, "joint")["kinds"]["contrast"]["auroc_mean"] == found["auroc_mean"]
    short = {kind: [v[:6] for v in videos] for kind, videos in scores.items()}
    assert "auroc_mean" not in reward_metrics(short, {})["kinds"]["contrast"]


def test_a_running_mean_leaves_out_the_first_frame_which_is_no_transition() -> None:
    means = running_means([np.array([100.0, 1, 2, 3, 4]), np.array([9.0, 1.0])], 2)
    assert [m.tolist() for m in means] == [[1.5, 2.5, 3.5]]
