"""`viper showcase`: the agent plays the episode again that it was evaluated by, and every frame keeps its colors."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.agents.toy import Brightness, Toy
from viper_pipeline.agents.base import RunConfig
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.drq import DrQConfig
from viper_pipeline.agents.train import train_in_environment
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.reporting.replays import load_agent, median_of, replay
from viper_pipeline.tools.showcase import GAP, LINE, Panel, showcase_command, video_webp
from viper_pipeline.training.artifacts import ModelArtifact
from viper_pipeline.training.checkpoints import derive

RUN = RunConfig(steps=60, envs=2, round_steps=12, random_steps=24, eval_every=48, eval_episodes=1, final_episodes=5)


def trained(**changes):
    """What the stage train_agent makes of a DrQ on the toy."""
    config = DrQConfig(
        pixels=16, channels=(8,), kernels=(4,), strides=(4,), hidden=(32,), latent=16, shift=1, batch_size=16,
        contrast=2.0, **changes,
    )  # fmt: skip
    seed = derive(3, "agent", "toys", "toy", "viper", "drq")
    result = train_in_environment("drq", config, RUN, Toy, seed=seed, reward=Brightness)
    about = {
        "kind": "drq", "suite": "toys", "task": "toy", "method": "viper", "seed": 3,
        "agent": config.model_dump(mode="json"), "run": RUN.model_dump(mode="json"),
        "final_returns": result.final_returns,
    }  # fmt: skip
    return ModelArtifact(about, result.weights)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_median_episode_is_played_again(average):
    artifact = trained(average=average)
    returns = artifact.config["final_returns"]
    played = replay(artifact, Toy, discrete=False)
    assert len(set(returns)) > 1
    assert played.ret == pytest.approx(sorted(returns)[2], rel=1e-6)
    assert len(played.frames) == len(played.rewards) and played.rewards[0] == 0


def test_weights_of_other_settings_are_refused():
    artifact = trained(average=0.9)
    with pytest.raises(BadData, match="toy: its weights do not fit"):
        load_agent(ModelArtifact(artifact.config, dict(list(artifact.tensors.items())[1:])), (32, 32, 3), 1, False)


def test_a_dreamer_is_loaded_as_it_was_evaluated():
    config = Dreamer.Config(pixels=16, depth=4, deter=16, hidden=16, stoch=4, classes=4, average=0.9)
    agent = Dreamer(config, (32, 32, 3), 2, discrete=False, curious=False)
    about = {"kind": "dreamer", "task": "toy", "agent": config.model_dump(mode="json")}
    other = load_agent(ModelArtifact(about, agent.weights()), (32, 32, 3), 2, False)
    assert all((other.weights()[name] == value).all() for name, value in agent.weights().items())


def test_every_frame_in_its_color():
    """A thin orange line on blue stays orange, where 64 colors chosen by area would make it gray."""
    frames = np.full((5, 64, 64, 3), (60, 90, 130), np.uint8)
    frames[:, :, 30:32] = (230, 150, 60)
    frames[:, :8, :8] = np.arange(5, dtype=np.uint8)[:, None, None, None] * 50
    panel = Panel("expert video", frames, np.array([0.0, 1, 1, 1, 1]))
    short = Panel("random actions", frames[:2], np.array([0.0, 1]))
    film = Image.open(io.BytesIO(video_webp({"toy": [panel, short], "other": [short, panel]})))
    shown = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]
    assert len(shown) == 5
    line = shown[2][2 * LINE + 80, GAP + 77]
    assert np.abs(line - (230, 150, 60)).max() < 60 and line[0] - line[2] > 110
    corners = [frame[2 * LINE + 10, GAP + 10].mean() for frame in shown]
    assert np.allclose(corners, np.arange(5) * 50, atol=12), "each frame is there, in its order"
    assert panel.text(2) == "true return 2" and short.text(4) == "true return 1"


def test_the_median_is_the_lower_one_of_two():
    assert [median_of([5.0]), median_of([3.0, 1.0]), median_of([9.0, 1.0, 5.0, 7.0])] == [0, 1, 2]


def test_what_is_missing_is_named(tmp_path):
    from tests.snippets import ROOT

    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for suite, out, message in [
        ("dmc", "a.gif", "ends in .webp"),
        ("atori", "a.webp", "no block suites.atori"),
        ("dmc", "a.webp", "no agent data/agents/dmc/TASK/viper-drq/0"),
    ]:
        with pytest.raises(BadParams, match=message):
            showcase_command(tmp_path, suite, "viper", None, None, tmp_path / out)
