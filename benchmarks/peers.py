"""Speed of the agents beside other programs of equal sizes: CPU seconds of an update, one thread, taking turns.

python benchmarks/peers.py --drqv2 ../drqv2 --dreamerv3-torch ../dreamerv3-torch --r2dreamer ../r2dreamer
python benchmarks/peers.py --profiles laptop paper --rounds 5 --json reports/peers.json

A path is a checkout of facebookresearch/drqv2, NM512/dreamerv3-torch or NM512/r2dreamer; what is not given is left out.
Every program has a process of its own and its own update code. Sizes come from the profile's suite dmc. What differs:

- drqv2 is DDPG without target encoder, and its encoder is replaced by one of this profile's convolutions.
- plain is soft actor-critic as in agents/drq.py, written here the usual way: one optimizer a network, separate
  critics, shifts by grid_sample.
- r2dreamer has another recurrent cell (blocks), other convolutions and no equal number of weights; it computes in 32
  bits here, and imagines one step more. "r2dreamer" reconstructs pictures as the others do, "r2dreamer, no decoder" is
  its own default.
- Metrics that the programs compute are part of their time. Dreamers explore without Plan2Explore.

Draw and shift of DrQ's batch are part of the update; Dreamer's batch is drawn before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import time
import types
from argparse import Namespace
from collections.abc import Callable
from copy import deepcopy
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ruamel.yaml import YAML
from torch import Tensor, nn

from gpu import filled  # benchmarks/gpu.py
from viper_pipeline.agents.dreamer.agent import Dreamer
from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.agents.drq import DrQ, DrQConfig
from viper_pipeline.pipelines.profiles import read_profile

ROOT = Path(__file__).parents[1]
ACTIONS, FRAME = 1, (64, 64, 3)
Work = Callable[[], object]
TURNS = {"laptop": {"drq": 20, "dreamer": 3}}
"""Updates of one turn; one at other profiles' sizes."""


def weights_of(*modules: nn.Module) -> int:
    """Trained weights, each counted once."""
    found = {id(p): p.numel() for m in modules for p in m.parameters() if p.requires_grad}
    return sum(found.values())


# DrQ


def our_drq(config: DrQConfig, path: Path | None) -> tuple[Work, int]:
    """This project's."""
    agent = DrQ(config, FRAME, ACTIONS)
    replay, rng = filled(agent, ACTIONS, rows=500), np.random.default_rng(0)
    return lambda: agent.update(agent.sample(replay, rng)), weights_of(agent.encoder, agent.critic, agent.actor)


class Convolutions(nn.Module):
    """A plain encoder of the profile's convolutions: pictures (B, C, h, w), 0 to 255 -> (B, repr_dim)."""

    def __init__(self, config: DrQConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3 * config.stack
        for channels, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            layers += [nn.Conv2d(inputs, channels, kernel, stride), nn.ReLU()]
            inputs = channels
        self.convnet = nn.Sequential(*layers)
        self.repr_dim = self.convnet(torch.zeros(1, 3 * config.stack, config.pixels, config.pixels)).numel()

    def forward(self, obs: Tensor) -> Tensor:
        return self.convnet(obs / 255.0 - 0.5).flatten(1)


def transitions(config: DrQConfig) -> Callable[[], tuple[np.ndarray, ...]]:
    """What draws random transitions from arrays of stacked frames: (obs, action, reward, discount, next_obs)."""
    rng, shape = np.random.default_rng(0), (1000, 3 * config.stack, config.pixels, config.pixels)
    frames = rng.integers(0, 256, shape, dtype=np.uint8)

    def draw() -> tuple[np.ndarray, ...]:
        index = rng.integers(0, len(frames) - 1, config.batch_size)
        ones = np.ones((len(index), 1), np.float32)
        return frames[index], np.zeros((len(index), ACTIONS), np.float32), ones, 0.99 * ones, frames[index + 1]

    return draw


def drqv2(config: DrQConfig, path: Path | None) -> tuple[Work, int]:
    """facebookresearch/drqv2."""
    sys.path.insert(0, str(path))
    import drqv2 as peer  # type: ignore[import-not-found]

    peer.Encoder = lambda obs_shape: Convolutions(config)
    shape = (3 * config.stack, config.pixels, config.pixels)
    sizes = {"lr": config.learning_rate, "feature_dim": config.latent, "hidden_dim": config.hidden[0]}
    play = {"num_expl_steps": 0, "update_every_steps": 1, "stddev_schedule": "0.2", "stddev_clip": 0.3}
    agent = peer.DrQV2Agent(shape, (ACTIONS,), "cpu", critic_target_tau=config.tau, use_tb=False, **sizes, **play)
    agent.aug = peer.RandomShiftsAug(config.shift)
    draw = transitions(config)
    return lambda: agent.update(iter([draw()]), 0), weights_of(agent.encoder, agent.critic, agent.actor)


class PlainHead(nn.Module):
    """A trunk and MLPs behind it, all of one shape."""

    def __init__(self, config: DrQConfig, inputs: int, more: int, outputs: int, count: int, norm: bool) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, config.latent), nn.LayerNorm(config.latent), nn.Tanh())

        def mlp() -> nn.Sequential:
            layers: list[nn.Module] = []
            width = config.latent + more
            for hidden in config.hidden:
                layers += [nn.Linear(width, hidden), *([nn.LayerNorm(hidden)] if norm else []), nn.ReLU()]
                width = hidden
            return nn.Sequential(*layers, nn.Linear(width, outputs))

        self.mlps = nn.ModuleList(mlp() for _ in range(count))

    def forward(self, features: Tensor, *more: Tensor) -> Tensor:
        x = torch.cat([self.trunk(features), *more], 1)
        return torch.stack([mlp(x) for mlp in self.mlps])


class PlainDrQ:
    """Soft actor-critic with random shifts, written the usual way."""

    def __init__(self, config: DrQConfig) -> None:
        self.config, self.encoder = config, Convolutions(config)
        size = self.encoder.repr_dim
        self.critic = PlainHead(config, size, ACTIONS, 1, config.critics, config.critic_norm)
        self.actor = PlainHead(config, size, 0, 2 * ACTIONS, 1, False)
        self.target = deepcopy(self.critic)
        self.target_encoder = deepcopy(self.encoder) if config.target_encoder else self.encoder
        self.log_alpha = torch.zeros((), requires_grad=True)
        self.optimizers = [
            torch.optim.Adam(parameters, config.learning_rate)
            for parameters in (
                [*self.encoder.parameters(), *self.critic.parameters()],
                self.actor.parameters(),
                [self.log_alpha],
            )
        ]

    def shifted(self, pictures: Tensor) -> Tensor:
        """Every picture moved by up to `shift` pixels."""
        pad, (count, _, size, _) = self.config.shift, pictures.shape
        padded = F.pad(pictures, (pad, pad, pad, pad), "replicate")
        whole = size + 2 * pad
        line = torch.linspace(-1 + 1 / whole, 1 - 1 / whole, whole)[:size]
        grid = torch.stack([line.expand(size, size), line[:, None].expand(size, size)], -1).expand(count, -1, -1, -1)
        moves = torch.randint(0, 2 * pad + 1, (count, 1, 1, 2)) * (2 / whole)
        return F.grid_sample(padded, grid + moves, align_corners=False)

    def act(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and their log-densities."""
        mean, log_std = self.actor(features)[0].chunk(2, 1)
        low, high = self.config.log_std
        normal = torch.distributions.Normal(mean, (low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)).exp())
        raw = normal.rsample()
        squashed = 2 * (np.log(2) - raw - F.softplus(-2 * raw))
        return torch.tanh(raw), (normal.log_prob(raw) - squashed).sum(1, keepdim=True)

    def combined(self, values: Tensor) -> Tensor:
        """Of the critics."""
        return values.amin(0) if self.config.target == "min" else values.mean(0)

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step of one optimizer."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def update(self, batch: tuple[np.ndarray, ...]) -> None:
        """Critics and encoder, then the actor, then the temperature, then the targets."""
        obs, action, reward, discount, next_obs = (torch.as_tensor(part) for part in batch)
        obs, next_obs = self.shifted(obs.float()), self.shifted(next_obs.float())
        with torch.no_grad():
            next_action, density = self.act(self.encoder(next_obs))
            future = self.combined(self.target(self.target_encoder(next_obs), next_action))
            target = reward + discount * (future - self.log_alpha.exp() * density)
        features = self.encoder(obs)
        values = self.critic(features, action)
        self.step(self.optimizers[0], sum(F.mse_loss(value, target) for value in values))
        features = features.detach()
        new_action, density = self.act(features)
        value = self.combined(self.critic(features, new_action))
        self.step(self.optimizers[1], (self.log_alpha.exp().detach() * density - value).mean())
        self.step(self.optimizers[2], (self.log_alpha.exp() * (-density.detach() + ACTIONS)).mean())
        followed = [(self.critic, self.target)]
        followed += [(self.encoder, self.target_encoder)] if self.config.target_encoder else []
        with torch.no_grad():
            for source, copy in followed:
                for parameter, mean in zip(source.parameters(), copy.parameters(), strict=True):
                    mean.copy_(self.config.tau * parameter + (1 - self.config.tau) * mean)


def plain_drq(config: DrQConfig, path: Path | None) -> tuple[Work, int]:
    """The one above."""
    agent, draw = PlainDrQ(config), transitions(config)
    return lambda: agent.update(draw()), weights_of(agent.encoder, agent.critic, agent.actor)


# Dreamer


def our_dreamer(config: DreamerConfig, path: Path | None) -> tuple[Work, int]:
    """This project's."""
    agent = Dreamer(config, FRAME, ACTIONS)
    batch = agent.sample(filled(agent, ACTIONS, rows=500), np.random.default_rng(0))
    return lambda: agent.update(batch), weights_of(agent)


def sequences(config: DreamerConfig) -> dict[str, np.ndarray]:
    """A random batch as both peers want it: (B, T, ...)."""
    rng, lead = np.random.default_rng(0), (config.batch_size, config.batch_length)
    none = np.zeros(lead, bool)
    return {
        "image": rng.integers(0, 256, (*lead, config.pixels, config.pixels, 3), dtype=np.uint8),
        "action": np.zeros((*lead, ACTIONS), np.float32),
        "reward": np.full(lead, 0.5, np.float32),
        "is_first": none | (np.arange(config.batch_length) == 0),
        "is_terminal": none,
        "is_last": none,
    }


def spaces(config: DreamerConfig) -> tuple[Any, Any]:
    """What the peers read of gymnasium's spaces."""
    shapes = {"image": (config.pixels, config.pixels, 3), "is_first": (), "is_terminal": (), "is_last": ()}
    return Namespace(spaces={k: Namespace(shape=s) for k, s in shapes.items()}), Namespace(shape=(ACTIONS,))


def without(name: str, **attributes: Any) -> None:
    """Put an empty module in the place of one that is imported and not needed."""
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def dreamerv3_torch(config: DreamerConfig, path: Path | None) -> tuple[Work, int]:
    """NM512/dreamerv3-torch."""
    assert path is not None
    without("torch.utils.tensorboard", SummaryWriter=None)
    sys.path.insert(0, str(path))
    import models as peer  # type: ignore[import-not-found]

    c = config
    block = YAML(typ="safe").load((path / "configs.yaml").read_text())["defaults"]
    block |= {"device": "cpu", "num_actions": ACTIONS, "size": [c.pixels, c.pixels]}
    block |= {"dyn_hidden": c.hidden, "dyn_deter": c.deter, "dyn_stoch": c.stoch, "dyn_discrete": c.classes}
    block |= {"units": c.hidden, "batch_size": c.batch_size, "batch_length": c.batch_length}
    block |= {"imag_horizon": c.horizon}
    for part in ("encoder", "decoder"):
        block[part]["cnn_depth"] = c.depth
    for part in ("actor", "critic", "reward_head", "cont_head"):
        block[part]["layers"] = c.layers
    settings = Namespace(**block)
    model = peer.WorldModel(*spaces(c), 0, settings)
    behavior = peer.ImagBehavior(settings, model)
    data = sequences(c)

    def update() -> None:
        start, _, _ = model._train(data)
        behavior._train(start, lambda f, s, a: model.heads["reward"](model.dynamics.get_feat(s)).mode())

    count = sum(p.numel() for m in (model, behavior.actor, behavior.value) for p in m.parameters())
    return update, count


class Batch(dict):
    """A dictionary of tensors (B, T, ...) with a shape, instead of a TensorDict."""

    shape: tuple[int, int]


def r2dreamer(config: DreamerConfig, path: Path | None, representation: str = "dreamer") -> tuple[Work, int]:
    """NM512/r2dreamer, with a decoder."""
    from omegaconf import OmegaConf

    assert path is not None
    without("torch.utils.tensorboard", SummaryWriter=None)
    without("tensordict", TensorDict=dict)
    sys.path.insert(0, str(path))
    import dreamer as peer  # type: ignore[import-not-found]

    peer.autocast = lambda **_: contextlib.nullcontext()  # half precision is for GPUs
    c = config
    keys = {"mlp_keys": "$^", "cnn_keys": "image"}
    model = OmegaConf.load(path / "configs/model/_base_.yaml")
    sizes = {"deter": c.deter, "hidden": c.hidden, "discrete": c.classes, "depth": c.depth, "units": c.hidden}
    sizes |= {"act": "SiLU", "norm": True, "compile": False, "rep_loss": representation, "imag_horizon": c.horizon}
    whole = OmegaConf.create({"device": "cpu", "env": {"encoder": keys, "decoder": keys}, "model": model})
    whole.model = OmegaConf.merge(whole.model, sizes)
    own = whole.model
    own.rssm.stoch = c.stoch
    multipliers = [2**i for i in range((c.pixels // 4).bit_length() - 1)]
    own.encoder.cnn.mults = own.decoder.cnn.mults = multipliers
    for head in (own.reward, own.cont, own.actor, own.critic):
        head.layers = c.layers
    agent = peer.Dreamer(own, *spaces(c)).to("cpu")
    batch = {k: torch.as_tensor(v) for k, v in sequences(c).items()}
    batch |= {k: batch[k][..., None] for k in ("reward", "is_terminal", "is_last")}
    initial = agent.rssm.initial(c.batch_size)

    def draw() -> tuple[Batch, None, tuple[Tensor, Tensor]]:
        found = Batch(batch)
        found.shape = (c.batch_size, c.batch_length)
        stoch, deter = initial
        return found, None, (stoch, deter)

    buffer = Namespace(sample=draw, update=lambda index, stoch, deter: None)
    return lambda: agent.update(buffer), sum(p.numel() for p in agent._named_params.values())


def r2dreamer_without_decoder(config: DreamerConfig, path: Path | None) -> tuple[Work, int]:
    """NM512/r2dreamer as it is by default."""
    return r2dreamer(config, path, "r2dreamer")


PROGRAMS: dict[str, dict[str, tuple[str | None, Callable[[Any, Path | None], tuple[Work, int]]]]] = {
    "drq": {"viper": (None, our_drq), "plain": (None, plain_drq), "drqv2": ("drqv2", drqv2)},
    "dreamer": {
        "viper": (None, our_dreamer),
        "dreamerv3-torch": ("dreamerv3_torch", dreamerv3_torch),
        "r2dreamer": ("r2dreamer", r2dreamer),
        "r2dreamer, no decoder": ("r2dreamer", r2dreamer_without_decoder),
    },
}
"""Algorithm -> program -> (the option with its checkout, what builds it)."""


def worker(pipe: Connection, algorithm: str, program: str, block: dict[str, Any], path: Path | None) -> None:
    """Build one program in a process of its own; answer each number with CPU seconds of that many updates."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = (DrQConfig if algorithm == "drq" else DreamerConfig).model_validate(block)
    with contextlib.redirect_stdout(sys.stderr):
        work, weights = PROGRAMS[algorithm][program][1](config, path)
        for _ in range(2):
            work()
        pipe.send(weights)
        while count := pipe.recv():
            begun = time.process_time()
            for _ in range(count):
                work()
            pipe.send(time.process_time() - begun)


def compare(algorithm: str, profile: str, paths: dict[str, Path | None], rounds: int) -> list[dict[str, Any]]:
    """A row a program. Programs take turns; ratios are medians over rounds, of what ran right after each other."""
    block = read_profile(ROOT / f"profiles/{profile}.yaml")["suites"]["dmc"][algorithm]
    context, pipes = multiprocessing.get_context("spawn"), {}
    processes, weights = [], {}
    for program, (option, _) in PROGRAMS[algorithm].items():
        if option is not None and paths[option] is None:
            continue
        pipes[program], theirs = context.Pipe()
        path = paths[option] if option else None
        process = context.Process(target=worker, args=(theirs, algorithm, program, block, path), daemon=True)
        process.start()
        theirs.close()  # so that a program that fails ends the waiting
        try:
            weights[program] = pipes[program].recv()
        except EOFError:
            print(f"{profile:8s}{algorithm:9s}{program:24s}left out: it failed, see above", flush=True)
            del pipes[program]
            continue
        processes.append(process)
    count = TURNS.get(profile, {}).get(algorithm, 1)
    seconds: dict[str, list[float]] = {program: [] for program in pipes}
    for _ in range(rounds):
        for program, pipe in pipes.items():
            pipe.send(count)
            seconds[program].append(pipe.recv() / count)
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(0)
        process.join()
    rows = []
    for program, found in seconds.items():
        ratios = sorted(theirs / own for theirs, own in zip(found, seconds["viper"], strict=True))
        rows.append(
            {
                "profile": profile, "algorithm": algorithm, "program": program, "weights": weights[program],
                "ms": round(1000 * statistics.median(found), 2), "times_viper": round(statistics.median(ratios), 2),
                "lowest": round(ratios[0], 2), "highest": round(ratios[-1], 2), "rounds": rounds, "updates": count,
            }
        )  # fmt: skip
    return rows


def main(given: list[str] | None = None) -> list[dict[str, Any]]:
    """Print one line a program; write and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", nargs="+", default=["laptop"])
    parser.add_argument("--algorithms", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=15)
    for option in ("drqv2", "dreamerv3-torch", "r2dreamer"):
        parser.add_argument(f"--{option}", type=Path, help="a checkout")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)
    rows: list[dict[str, Any]] = []
    for profile in arguments.profiles:
        for algorithm in arguments.algorithms:
            for row in compare(algorithm, profile, vars(arguments), arguments.rounds):
                rows.append(row)
                print(
                    f"{profile:8s}{algorithm:9s}{row['program']:24s}{row['weights']:12,d} weights{row['ms']:11.2f} ms"
                    f"{row['times_viper']:7.2f} times viper ({row['lowest']:.2f} to {row['highest']:.2f})",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


if __name__ == "__main__":
    main()
