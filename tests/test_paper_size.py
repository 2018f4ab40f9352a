"""One training step of each model at the size of Tables 1 to 4, within 20 GB. Minutes: `make test-slow`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_GB = 20
PROFILE = Path(__file__).parents[1] / "profiles" / "paper.yaml"
STEP = """
import json, resource, sys
import numpy as np, torch, yaml
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.training.loop import train

torch.set_num_threads(2)
torch.manual_seed(0)
dmc = yaml.safe_load(open(sys.argv[1]))["suites"]["dmc"]
tasks = tuple(dmc["tasks"])
rng = np.random.default_rng(0)


def one_step(module, training, batch):
    config = training.model_copy(update={"steps": 1, "batch_size": len(batch[1]), "log_every": 1})
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    history = train(module, lambda step: batch, config, seed=0)
    moved = [n for n, p in module.named_parameters() if not torch.equal(p, before[n])]
    return history[-1] | {"parameters": sum(p.numel() for p in module.parameters()), "moved": len(moved)}
"""
MODELS = {
    "vqgan": """
from viper_pipeline.tokenizers.vqgan_training import VQGANConfig, VQGANTraining
config = VQGANConfig.model_validate(dmc["tokenizer"])
module = VQGANTraining(config, tasks, 64)
frames = rng.integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
found = one_step(module, config.training, (frames, np.arange(16)))
""",
    "videogpt": """
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig
config = VideoGPTConfig.model_validate(dmc["videogpt"])
module = VideoGPT(config, torch.randn(1024, 64), (8, 8), tasks)
size = config.training.batch_size
clips = torch.from_numpy(rng.integers(0, 1024, (size, config.window, 8, 8)))
found = one_step(module, config.training, (clips, torch.arange(size) % len(tasks)))
""",
    "drq": """
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.agents.replay import Replay
config = DrQConfig.model_validate(dmc["drq"])
agent = DrQ(config, (64, 64, 3), 6)
replay = Replay(1, 1000, agent.frame_shape, 6)
for i in range(400):
    frame = rng.integers(0, 256, agent.frame_shape, dtype=np.uint8)
    replay.add(0, rng.uniform(-1, 1, 6), 1.0, frame, False) if i else replay.start(0, frame)
before = {name: p.detach().clone() for name, p in agent.named_parameters()}
metrics = agent.update(agent.sample(replay, rng))
moved = sum(not torch.equal(p, before[n]) for n, p in agent.named_parameters())
found = {k: float(v) for k, v in metrics.items()} | {
    "parameters": sum(p.numel() for p in agent.parameters()), "moved": moved
}
""",
    "dreamer": """
from viper_pipeline.agents.dreamer.agent import Dreamer, DreamerConfig
from viper_pipeline.agents.replay import Replay
agent = Dreamer(DreamerConfig.model_validate(dmc["dreamer"]), (64, 64, 3), 6, curious=True)
replay = Replay(1, 1000, agent.frame_shape, 6)
for i in range(400):
    frame = rng.integers(0, 256, agent.frame_shape, dtype=np.uint8)
    replay.add(0, rng.uniform(-1, 1, 6), 1.0, frame, False) if i else replay.start(0, frame)
before = {name: p.detach().clone() for name, p in agent.named_parameters()}
metrics = agent.update(agent.sample(replay, rng))
moved = sum(not torch.equal(p, before[n]) for n, p in agent.named_parameters())
found = {k: float(v) for k, v in metrics.items()} | {
    "parameters": sum(p.numel() for p in agent.parameters()), "moved": moved
}
""",
}
END = """
found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", MODELS)
def test_a_step_at_the_papers_size_fits_and_teaches(model):
    """In a process of its own, whose peak memory is then the step's. The tokenizer's step has 16 of its 128 frames."""
    done = subprocess.run(
        [sys.executable, "-c", STEP + MODELS[model] + END, str(PROFILE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(model, found)
    assert found["peak_gb"] < LIMIT_GB
    assert found["moved"] > 0 and all(value == value and abs(value) < 1e9 for value in found.values())
