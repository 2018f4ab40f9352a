"""Equal to a peer: three whole updates of Dreamer, beside those of NM512's dreamerv3-torch from the same weights.

Both took the likeliest latents and the same noise for the actor; sizes are those of profile laptop. The peer's first
discount is off by one, which its critic's loss shows and its rounding does not explain.
"""

import numpy as np
import pytest
import torch

from tests.port.fixtures import FOLDER
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.dreamer.world_model import RSSM
from viper_pipeline.agents.replay import Sequences

CONFIG = DreamerConfig(
    pixels=32, depth=8, deter=128, stoch=8, classes=8, hidden=128, layers=1, batch_size=8, batch_length=16,
    model_rate=1e-3, policy_rate=3e-4, image_loss_scale=8.0, horizon=10, gamma=0.98, entropy=1e-3, slow_every=1,
    slow_step=0.02,
)  # fmt: skip
SAME = {
    "model_loss": "model_loss", "picture_loss": "image_loss", "reward_loss": "reward_loss", "end_loss": "cont_loss",
    "kl": "kl", "reward_return": "target_mean",
}  # fmt: skip
"""Our name of a number -> the peer's."""


def test_three_updates_give_a_peers_losses_gradients_and_percentiles(monkeypatch):
    kept = np.load(FOLDER / "dreamer_updates.npz")
    agent = Dreamer(CONFIG, (64, 64, 3), 1)
    weights = {k.removeprefix("weights/"): torch.from_numpy(kept[k]) for k in kept.files if k.startswith("weights/")}
    weights |= {k.replace(".value.", ".slow."): v for k, v in weights.items() if ".value." in k}
    missing = agent.load_state_dict(weights, strict=False)
    assert missing.missing_keys == ["_extra_state"] and not missing.unexpected_keys

    norms, clip = [], torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda w, most: norms.append(float(clip(w, most))))
    monkeypatch.setattr(RSSM, "sample", lambda self, log_probs, noise=None: self.mode(log_probs))
    worst = {}
    for i in range(3):
        batch = {k.removeprefix(f"batch{i}/"): kept[k] for k in kept.files if k.startswith(f"batch{i}/")}
        peer = {k.removeprefix(f"peer{i}/"): kept[k] for k in kept.files if k.startswith(f"peer{i}/")}
        noise = iter(torch.from_numpy(kept["noise"]))
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randn", lambda *shape, left=noise, **_: next(left))
            metrics = agent.update(
                Sequences(
                    frames=batch["frames"], actions=batch["actions"], reward=batch["reward"],
                    is_terminal=batch["terminal"], is_first=batch["first"], windows=np.zeros((0,)),
                    places=np.zeros((0,)),
                )
            )  # fmt: skip
        found = {name: (float(metrics[name]), float(peer[theirs])) for name, theirs in SAME.items()}
        found |= {f"gradient norm {n}": pair for n, *pair in zip("mac", norms, peer["gradient_norms"], strict=True)}
        low, high = agent.behaviour.critics["reward"].percentiles.tolist()
        found |= {"percentile 5": (low, float(peer["EMA_005"])), "percentile 95": (high, float(peer["EMA_095"]))}
        found["critic_loss"] = (float(metrics["critic_loss"]), float(peer["value_loss"]))
        for name, (ours, theirs) in found.items():
            worst[name] = max(worst.get(name, 0.0), abs(ours - theirs) / abs(theirs))
            most = 1e-4 if name in ("critic_loss", "gradient norm a", "gradient norm c") else 1e-5
            assert ours == pytest.approx(theirs, rel=most), (i, name)
        norms.clear()
    print({name: f"{gap:.1e}" for name, gap in worst.items()})
