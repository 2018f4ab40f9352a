"""Cards: what an artifact is, how it was made, how good it is, where it comes from, and what it is not for.

They are written from what artifacts carry inside. Rewording a card makes no model stale. `viper export-reward` writes a
project's reward as one self-contained folder with a card; equal data give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from viper_pipeline.core.config import leaves
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import Json, JsonView, atomic_dir, sha256_of
from viper_pipeline.data.episode import png
from viper_pipeline.data.hdf5 import EpisodeFile
from viper_pipeline.data.importers import OWN_KINDS
from viper_pipeline.envs import SUITES
from viper_pipeline.reporting.results import LineageSteps, RunTable, StageName
from viper_pipeline.reporting.reward_metrics import reward_metrics
from viper_pipeline.reporting.summary import auroc_text
from viper_pipeline.rewards.methods import RATIO_MODEL
from viper_pipeline.rewards.scores import unpack, unpack_frames
from viper_pipeline.training.artifacts import CONFIG, LINEAGE, WEIGHTS, ModelArtifact, as_json, load_artifact

SAMPLES = 8
"""Frames of a dataset's sample picture."""
LONG = 12
"""Longer lists of numbers are shown by their mean and range."""

WHAT = {
    "train_expert": "An expert policy: trained on true state and true reward, it makes the expert videos.",
    "record_episodes": "Every rollout of the expert policy, with and without noise, with true rewards.",
    "record_baselines": "Random and idle episodes: the returns of a task without any learning.",
    "curate_experts": "An expert set: the videos that the models read, some of them held out.",
    "train_tokenizer": "A tokenizer: a frame becomes a grid of discrete codes, and back.",
    "encode_experts": "An expert set as codes.",
    "train_video_model_ratio": "A video model of two classes: expert videos are one, random play the other.",
    "train_video_model": "A video model: p(frame given earlier frames), over codes.",
    "evaluate_reward_ratio": "A reward: the scale of the log ratio of experts' and agent's likelihood, and its "
    "scores of many kinds of video.",
    "evaluate_reward": "A reward: the scale of a video model's log-likelihoods, and its scores of many kinds of video.",
    "train_agent": "An agent: its last weights, its learning curve, and a video of an episode.",
}
LIMITS = {
    "record_episodes": "Made by one expert policy, with its habits. Noisy episodes only test rewards.",
    "curate_experts": "Few tasks, one camera, one behavior per task, too few videos to show every way to solve it.",
    "train_tokenizer": "For frames of its own suite, size, camera and shadows. Unfamiliar frames are reconstructed as "
    "familiar ones.",
    "train_video_model_ratio": "Scores videos of its own frame specification only. Of what neither class has "
    "seen, its scores say nothing.",
    "train_video_model": "Scores videos of its own frame specification only. Likelihood is not progress: a still "
    "picture of an expert can score higher than an expert.",
    "evaluate_reward": "Refuses frames of another specification. A high value means `looks like an expert`, no more.",
    "train_agent": "Trained on one task with one seed: not enough to compare methods.",
}
SIMULATOR_LICENSES = {
    "dmc": "Frames drawn by dm_control and MuJoCo (Apache 2.0); this file: the project's license (MIT).",
    "atari": "Frames show commercial games, whose owners keep their rights; use for research only.",
}
PICTURE = "frames of one episode"
"""Caption of a dataset's sample picture."""
OWN = "Made by this project; its license (MIT)."
IMPORTED = "Imported videos: their owner's license applies; it is to be filled in before this is passed on."
UNKNOWN = "Unknown: nothing says where this comes from; it is to be found out before this is passed on."


def words(value: object) -> str:
    """A value as tables print it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(words(v) for v in value)
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".") if value < 1e4 else f"{value:g}"
    return str(value)


def flat(block: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, printed value)."""
    yield from ((dotted, words(value)) for dotted, value in leaves(block, name))


@dataclass(frozen=True)
class Card:
    """What is said of one artifact."""

    name: str  # its path, or what is known of it
    what: str
    facts: Sequence[tuple[str, str]]
    stage: str = ""
    parents: Sequence[str] = ()
    license: str = OWN
    source: str = ""  # what was imported, in words
    limits: str = ""
    picture: np.ndarray | None = None  # (H, W, 3) uint8
    settings: Sequence[tuple[str, str]] = field(default_factory=tuple)


def text_for(table: Mapping[str, str], stage: str) -> str:
    """The text for a stage; `train_agent` stands for every `train_agent_<method>`."""
    return table.get(stage) or next((text for name, text in table.items() if stage.startswith(name)), "")


def dataset_card(path: str, file: EpisodeFile, steps: LineageSteps) -> Card:
    """steps: lineage, path -> {stage, params, parents}."""
    step = steps.get(path, {})
    stage = StageName.parse(str(step.get("stage", ""))).stage
    return Card(
        path,
        text_for(WHAT, stage) or "Episodes of one task.",
        list(dataset_facts(file)),
        stage=str(step.get("stage", "")),
        parents=list(step.get("parents", {})),
        license=license_of(file.suite, path, steps, imported=file.lineage.get("imported")),
        source=imported_from(file.lineage.get("imported")),
        limits=text_for(LIMITS, stage),
        picture=sample_frames(file) if file.payload == "frames" else None,
        settings=settings_read(step),
    )


def dataset_facts(file: EpisodeFile) -> Iterator[tuple[str, str]]:
    """Sizes, returns, and how frames were made."""
    yield "task", f"{file.suite}, {file.task}"
    for name in file.groups:
        group = file.group(name)
        if not len(group):
            continue
        returns = group.returns[~np.isnan(group.returns)]
        span = (
            f", true return {returns.mean():.1f} ({returns.min():.1f} to {returns.max():.1f})" if len(returns) else ""
        )
        kinds = ", ".join(sorted(set(group.kinds)))
        yield name.replace("_", " "), f"{len(group)} episodes ({kinds}), {int(group.lengths.sum()):,} frames{span}"
    first = file.group(file.groups[0]) if file.groups else None
    if first is not None:
        yield file.payload, f"{' x '.join(map(str, first.shape))}, {first.dtype}"
    yield "frame specification", ", ".join(f"{k} {words(v)}" for k, v in flat(file.spec.model_dump(mode="json")) if v)


def model_card(path: str, artifact: ModelArtifact, steps: LineageSteps) -> Card:
    """Of a tokenizer, video model, reward, expert or agent."""
    step = steps.get(path, {})
    name = StageName.parse(str(step.get("stage", "")))
    stage, suite = name.stage, str(artifact.config.get("suite") or name.suite)
    return Card(
        path,
        text_for(WHAT, stage) or "A model.",
        list(model_facts(artifact)),
        stage=str(step.get("stage", "")),
        parents=list(step.get("parents", {})),
        license=license_of(suite, path, steps),
        limits=text_for(LIMITS, stage),
        settings=settings_read(step),
    )


def model_facts(artifact: ModelArtifact) -> Iterator[tuple[str, str]]:
    """Sizes, and every number that the stage measured, in the order of config.json, without settings."""
    if artifact.tensors:
        yield "weights", f"{sum(t.numel() for t in artifact.tensors.values()):,} numbers"
    for key, value in sorted(artifact.config.items()):
        if key in ("model", "agent", "run", "reward", "specs"):
            continue
        for name, text in flat_facts(value, key):
            yield name.replace("_", " "), text


def flat_facts(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Nested values by dotted names; long lists of numbers by their mean and range."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat_facts(inner, f"{name}.{key}")
    elif isinstance(value, list) and len(value) > LONG and all(isinstance(v, int | float) for v in value):
        yield name, f"mean {np.mean(value):.4g} of {len(value)} ({min(value):.4g} to {max(value):.4g})"
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    elif value is not None:
        yield name, words(value)


def settings_read(step: JsonView) -> list[tuple[str, str]]:
    """The parameters that the stage read, as (dotted name, printed value)."""
    return [row for name, value in step.get("params", {}).items() for row in flat(value, name)]


def imported_from(imported: JsonView | None) -> str:
    """What `viper import` read, in words; empty for what a stage made."""
    return f"Imported by `viper import {imported['kind']}` from `{imported['path']}`." if imported else ""


def license_of(suite: str, path: str, steps: LineageSteps, imported: JsonView | None = None) -> str:
    """Of simulated frames: the simulator's. Of imported videos, anywhere in the lineage: their owner's.

    imported: what an artifact says of its import, instead of steps. Of what says nothing of its origin: unknown.
    """
    if imported:
        return IMPORTED
    if path not in steps:
        return UNKNOWN
    todo = [path]
    seen: set[str] = set()
    while todo:
        step = steps.get(todo.pop(), {})
        for name, value in step.get("params", {}).items():
            if ".datasets." in name and isinstance(value, Mapping) and value.get("kind", "expert") not in OWN_KINDS:
                return IMPORTED
        new = [p for p in step.get("parents", {}) if p not in seen]
        seen |= set(new)
        todo += new
    return SIMULATOR_LICENSES.get(suite, OWN)


def sample_frames(file: EpisodeFile) -> np.ndarray | None:
    """Frames of one episode, side by side: (H, SAMPLES W, 3)."""
    names = [n for n in ("held_out", "train", *file.groups) if n in file.groups and len(file.group(n))]
    if not names:
        return None
    group = file.group(names[0])
    length = int(group.lengths[0])
    frames = [group.read(t, t + 1)[0] for t in np.linspace(0, length - 1, SAMPLES).astype(int)]
    return np.concatenate(frames, 1)


def as_markdown(card: Card, pictures: Mapping[str, str] | None = None) -> str:
    """The card as Markdown. pictures: file beside the card -> what it shows."""
    lines = [f"# {card.name}", "", card.what, "", "| fact | value |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in card.facts]
    lines += ["", "## Where it comes from", "", card.source or f"Made by stage `{card.stage or 'unknown'}`"]
    lines[-1] += "" if card.source else " from:" if card.parents else "."
    lines += [f"- `{parent}`" for parent in card.parents]
    if card.settings:
        lines += ["", "| setting | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in card.settings)]
    lines += ["", "## License", "", card.license]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    lines += [line for name, shows in (pictures or {}).items() for line in ("", f"![{shows}]({name})")]
    return "\n".join(lines) + "\n"


def node_of(suite: str, stage: str, model: str) -> str:
    """The node that made a video model or its reward; the likelihood ratio has stages of its own."""
    return f"{suite}.{stage}_ratio.all" if model == RATIO_MODEL else f"{suite}.{stage}.{model}"


def cards_of(table: RunTable, steps: LineageSteps) -> list[Card]:
    """Cards of expert sets, baselines, tokenizers, video models and rewards, and of one agent per task and method.

    steps: lineage; the step of the stage that made an artifact knows its path.
    """
    path_of = {step["stage"]: path for path, step in steps.items()}
    cards = []
    for (suite, task), file in table.experts.items():
        cards.append(dataset_card(path_of.get(f"{suite}.curate_experts.{task}", f"expert set {task}"), file, steps))
    for (suite, task), file in table.baseline_episodes.items():
        cards.append(dataset_card(path_of.get(f"{suite}.record_baselines.{task}", f"baselines {task}"), file, steps))
    for suite, artifact in table.tokenizers.items():
        cards.append(model_card(path_of.get(f"{suite}.train_tokenizer.all", f"tokenizer {suite}"), artifact, steps))
    for (suite, model), artifact in table.video_models.items():
        node = node_of(suite, "train_video_model", model)
        cards.append(model_card(path_of.get(node, f"video_model {model}"), artifact, steps))
    for (suite, model), artifact in table.rewards.items():
        node = node_of(suite, "evaluate_reward", model)
        cards.append(model_card(path_of.get(node, f"reward {model}"), artifact, steps))
    for key, artifact in table.agents.items():
        suite, task, method, agent, seed = key
        if seed == min(other.seed for other in table.agents if other[:4] == key[:4]):
            node = f"{suite}.train_agent_{method}.{task}-{agent}-{seed}"
            cards.append(model_card(path_of.get(node, f"agent {task} {method} {agent} {seed}"), artifact, steps))
    return cards


def card_files(cards: Sequence[Card]) -> dict[str, bytes]:
    """Every card as Markdown, named after its artifact's path, its sample picture, and a README.md that lists them."""
    files, rows = {}, []
    for card in cards:
        name = card.name.removeprefix("data/").removesuffix(".h5").replace("/", "-").replace(" ", "-")
        pictures = {}
        if card.picture is not None:
            files[f"{name}.png"] = png(card.picture)
            pictures[f"{name}.png"] = PICTURE
        files[f"{name}.md"] = as_markdown(card, pictures).encode()
        rows.append(f"| [{card.name}]({name}.md) | {card.what} |")
    files["README.md"] = "\n".join(["# Cards", "", "| artifact | what it is |", "|---|---|", *rows, ""]).encode()
    return files


TEMPLATE = Path(__file__).parent / "templates" / "reward_card.md.jinja"


def export_reward(source: Path, out: Path, commit: str | None = None) -> str:
    """Write the reward at `source` (data/rewards/SUITE/MODEL of a project) to a new folder; return one line about it.

    commit: the one that recorded this reward, for the card. Raises BadData if parts are missing or do not belong
    together, or if `out` exists. Scores of the evaluation are summarized in the card and left out.
    """
    out = Path(out)
    if out.exists():
        raise BadData(f"{out}: exists already; name a new folder")
    from viper_pipeline.rewards.pretrained import CARD, FORMAT, MANIFEST, PARTS, open_package

    package = open_package(source)
    lineage = as_json(package.lineage)
    with atomic_dir(out) as folder:
        for part in PARTS:
            (folder / part).mkdir()
            for name in (CONFIG, WEIGHTS) if part != "reward" else (CONFIG,):
                (folder / part / name).write_bytes((package.folders[part] / name).read_bytes())
        (folder / LINEAGE).write_text(lineage)
        steps = package.lineage["steps"]
        facts = {"name": out.name, "commit": commit, "steps": steps, "simulated": _simulated(steps)}
        facts |= {"environment": package.suite in SUITES.names()}
        facts["license"] = SIMULATOR_LICENSES.get(package.suite, OWN) if facts["simulated"] else IMPORTED
        facts |= _measured(package.folders)
        (folder / CARD).write_text(reward_card(facts, _bytes(folder)))
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        manifest = {"format": FORMAT, "suite": package.suite, "commit": commit}
        hashes = {name: sha256_of(folder / name) for name in files if name != CARD}
        (folder / MANIFEST).write_text(as_json(manifest | {"files": hashes}))
        size = _bytes(folder)
    return f"{out}: the reward of {', '.join(facts['tasks'])}, {size / 1e6:.1f} MB"


def reward_card(facts: JsonView, size: int) -> str:
    """The card of an exported reward, Markdown; size: bytes of the other files."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["against"] = auroc_text
    return environment.from_string(TEMPLATE.read_text()).render(**facts, size=size / 1e6)


def _measured(folders: Mapping[str, Path]) -> Json:
    reward, tokenizer, model = (load_artifact(folders[p]) for p in ("reward", "tokenizer", "video_model"))
    tasks, mode = {}, reward.config["reward"]["mode"]
    for task, spec in reward.config["specs"].items():
        scores, returns = unpack(task, reward.tensors)
        if not scores:
            raise BadData(f"{folders['reward'] / WEIGHTS}: no scores of {task}; export from a project's data/rewards")
        tasks[task] = {
            "spec": spec,
            "metrics": reward_metrics(scores, returns, unpack_frames(task, reward.tensors), mode),
            "psnr": tokenizer.config["metrics"][task]["held_out"]["psnr"],
        }
    counts = {p: sum(t.numel() for t in d.tensors.values()) for p, d in (("tokenizer", tokenizer), ("model", model))}
    kind = reward.config["reward"]["scale"]["kind"]
    return {
        "tasks": tasks,
        "mode": mode,
        "scale": kind,
        "counts": counts,
        "model": model.config,
        "tokenizer": tokenizer.config,
    }


def _simulated(steps: JsonView) -> bool:
    """Whether every expert video was recorded by the pipeline itself."""
    chosen = [value for step in steps.values() for name, value in step["params"].items() if ".datasets." in name]
    return bool(chosen) and all(dataset["kind"] in OWN_KINDS for dataset in chosen)


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
