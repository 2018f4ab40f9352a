"""Tables 1 to 4: what the paper used, what profiles/paper.yaml says, and what has been run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from viper_pipeline.core.config import ParamsBlock, value_at
from viper_pipeline.core.files import JsonView
from viper_pipeline.reporting.cards import flat, words
from viper_pipeline.reporting.paper_figures.base import Drawn, FigurePart
from viper_pipeline.reporting.results import Evidence, ModelKey, Row


class SettingRow(NamedTuple):
    """One setting: the paper's words, our field in the component's block, and the paper's values by suite."""

    words: str
    field: str
    paper: tuple[str, ...]


@dataclass(frozen=True)
class SettingsTable:
    """One table: the component whose settings it lists, and the suites of the paper's columns."""

    name: str
    component: str  # tokenizer, video_model, agent
    block: str  # of a suite in params.yaml
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...]], ...]  # SettingRow

    def settings(self) -> Iterator[SettingRow]:
        """The rows with names."""
        return (SettingRow(*one) for one in self.rows)


SETTINGS_TABLES = {
    "table1": SettingsTable(
        "VQ-GAN",
        "tokenizer",
        "tokenizer",
        ("dmc", "atari", "rlbench"),
        (
            ("Input size", "frames.size", ("64",) * 3),
            ("Latent size", "grid", ("8, 8", "16, 16", "16, 16")),
            ("Commitment loss coefficient", "quantizer.commitment", ("0.25",) * 3),
            ("Batch size", "training.batch_size", ("128",) * 3),
            ("Learning rate", "training.learning_rate", ("0.0001",) * 3),
            ("Learning rate schedule", "training.schedule", ("constant",) * 3),
            ("Training steps", "training.steps", ("200000",) * 3),
            ("Base channels", "channels", ("128",) * 3),
            ("Channel multipliers", "multipliers", ("1, 1, 2, 2", "1, 2, 2", "1, 2, 2")),
            ("Residual blocks", "blocks", ("1", "1", "2")),
            ("Codebook size", "quantizer.size", ("1024",) * 3),
            ("Codebook dimension", "quantizer.dim", ("64",) * 3),
            ("Perceptual loss weight", "perceptual.weight", ("0.1",) * 3),
            ("Discriminator base features", "discriminator.width", ("32",) * 3),
            ("Discriminator gradient penalty", "discriminator.r1_gamma", ("1e8, of the batch's mean",) * 3),
            ("Discriminator largest features", "discriminator.max_width", ("512",) * 3),
            ("Discriminator minibatch group", "discriminator.group", ("4",) * 3),
            ("Discriminator loss weight", "discriminator.weight", ("0.1",) * 3),
        ),
    ),
    "table2": SettingsTable(
        "VideoGPT and MaskGIT",
        "video_model",
        "videogpt",
        ("dmc", "atari", "rlbench"),
        (
            ("Sequence length", "window", ("16", "16", "4")),
            ("Frame skip", "curation.stride", ("1", "1", "4")),
            ("Latent size", "grid", ("8, 8", "16, 16", "16, 16")),
            ("Number of classes", "tasks", ("16", "8", "34 (multi-task)")),
            ("Batch size", "training.batch_size", ("32",) * 3),
            ("Learning rate", "training.learning_rate", ("0.0001",) * 3),
            ("Learning rate schedule", "training.schedule", ("constant",) * 3),
            ("Training steps", "training.steps", ("500000",) * 3),
            ("Adam betas", "training.betas", ("0.9, 0.999",) * 3),
            ("Hidden dim", "width", ("256", "512", "256 (multi-task 512)")),
            ("Feedforward dim", "feedforward", ("1024", "2048", "1024 (multi-task 2048)")),
            ("Heads", "heads", ("8",) * 3),
            ("Layers", "layers", ("8",) * 3),
            ("Dropout", "dropout", ("0",) * 3),
        ),
    ),
    "table3": SettingsTable(
        "DreamerV3",
        "agent",
        "dreamer",
        ("dmc", "atari", "rlbench"),
        (
            ("Replay capacity", "runs.capacity", ("1000000",) * 3),
            ("Batch size", "batch_size", ("16",) * 3),
            ("Batch length", "batch_length", ("64",) * 3),
            ("MLP size", "hidden", ("512", "1024", "1024")),
            ("MLP layers", "layers", ("2", "4", "4")),
            ("RSSM size", "deter", ("512", "4096", "4096")),
            ("Latents", "stoch", ("32",) * 3),
            ("Classes a latent", "classes", ("32",) * 3),
            ("KL balancing", "kl_balance", ("0.667",) * 3),
            ("Imagination horizon", "horizon", ("15",) * 3),
            ("Discount", "gamma", ("0.995",) * 3),
            ("Return lambda", "lam", ("0.95",) * 3),
            ("Target update interval", "slow_every", ("50",) * 3),
            ("Gradient clipping", "model_clip", ("100",) * 3),
            ("Learning rate", "model_rate", ("0.0001",) * 3),
            ("Adam epsilon", "model_eps", ("0.000001",) * 3),
            ("Plan2Explore ensemble size", "ensemble_size", ("10",) * 3),
        ),
    ),
    "table4": SettingsTable(
        "DrQ with RND",
        "agent",
        "drq",
        ("dmc",),
        (
            ("MLP size", "hidden", ("256, 256",)),
            ("CNN features", "channels", ("32, 64, 128, 256",)),
            ("CNN filters", "kernels", ("3, 3, 3, 3",)),
            ("CNN strides", "strides", ("2, 2, 2, 2",)),
            ("Learning rate", "learning_rate", ("0.0003",)),
            ("Discount", "gamma", ("0.99",)),
            ("Number of critics", "critics", ("2",)),
            ("Tau", "tau", ("0.005",)),
            ("Initial temperature", "temperature", ("0.1",)),
            ("Augmentation: random crop, pixels of padding", "shift", ("random crop",)),
            ("RND CNN features", "exploration.channels", ("32, 64, 64",)),
            ("RND MLP size", "exploration.hidden", ("512, 512",)),
            ("RND learning rate", "exploration.learning_rate", ("0.0003",)),
            ("RND exploration weight", "exploration.weight", ("1",)),
        ),
    ),
}
OUTSIDE = ("env", "frames", "curation", "runs", "exploration")
"""Blocks of a suite whose fields a row may name; other fields are the component's own."""
BY_DEFAULT = "default"


def artifact_settings(evidence: Evidence, table: SettingsTable, suite: str) -> tuple[JsonView, tuple[Row, ...]]:
    """The settings that the artifact itself carries, with defaults, and its row; empty if there is none."""
    if table.component == "tokenizer" and suite in evidence.tokenizers:
        config = evidence.tokenizers[suite].config
        return {**config.get("model", {}), "grid": config.get("grid")}, (Row("tokenizers", suite),)
    if table.component == "video_model":
        key = ModelKey(suite, reward_model(evidence, suite))
        if key in evidence.video_models:
            config = evidence.video_models[key].config
            more = {"grid": config.get("grid"), "tasks": len(config.get("tasks", []))}
            return {**config.get("model", {}), **more}, (Row("video_models", key),)
    if table.component == "agent":
        for run, artifact in evidence.agents.items():
            if run[0] == suite and run[3] == table.block:
                return artifact.config.get("agent", {}), (Row("agents", run),)
    return {}, ()


def reward_model(evidence: Evidence, suite: str) -> str:
    """The video model that the suite's reward is made of."""
    return str(evidence.settings.get(suite, {}).get("reward", {}).get("model", "videogpt"))


def same(a: str, b: str) -> bool:
    """Whether two printed values are equal; 0 and 0.0 are."""
    try:
        return float(a) == float(b)
    except ValueError:
        return a == b


def setting_text(block: ParamsBlock, component: ParamsBlock, field: str) -> str:
    """A field's printed value: from the suite's block for OUTSIDE fields, else from the component's."""
    if field.split(".")[0] in OUTSIDE:
        return words(value_at(block, field)) or (BY_DEFAULT if block else "")
    if field == "grid" and "grid" not in component:
        return ""  # it follows from the frames and the multipliers
    if field == "tasks" and "tasks" not in component:
        return words(len(block.get("tasks", []))) if block else ""
    if field == "perceptual.weight" and value_at(component, "perceptual.kind") == "none":
        return "off"
    return words(value_at(component, field)) or (BY_DEFAULT if component else "")


def table_parts(evidence: Evidence, name: str) -> list[FigurePart]:
    """Three columns per suite: the paper's values, profiles/paper.yaml, and what has been run."""
    table = SETTINGS_TABLES[name]
    made = [FigurePart("the paper's values", 1)]
    for suite in table.columns:
        _, sources = artifact_settings(evidence, table, suite)
        profile = table.block in evidence.paper.get(suite, {})
        note = "" if profile else f"profiles/paper.yaml has no block suites.{suite}.{table.block}"
        made.append(FigurePart(f"paper profile, {suite}", int(profile), 1, note))
        made.append(
            FigurePart(f"run of {suite}", int(bool(sources)), 1, "" if sources else f"no {table.name} trained", sources)
        )
    return made


def draw_table(evidence: Evidence, name: str) -> Drawn:
    """Three columns per suite: the paper's values, profiles/paper.yaml, and the run if there is one."""
    table = SETTINGS_TABLES[name]
    header, columns = ["setting", "field"], []
    for number, suite in enumerate(table.columns):
        ours, sources = artifact_settings(evidence, table, suite)
        profile = evidence.paper.get(suite, {})
        header += [f"{suite}: paper"]
        columns.append([row.paper[number] for row in table.settings()])
        if table.block in profile:
            header.append(f"{suite}: paper profile")
            component = profile[table.block]
            columns.append([setting_text(profile, component, row.field) for row in table.settings()])
        if sources:
            header.append(f"{suite}: this run")
            block = evidence.settings.get(suite, {})
            columns.append([setting_text(block, ours, row.field) for row in table.settings()])
    rows: list[Sequence[str]] = [header]
    for number, row in enumerate(table.settings()):
        rows.append([row.words, row.field, *(column[number] for column in columns)])
    trained = [s for s in table.columns if artifact_settings(evidence, table, s)[1]]
    return Drawn(
        None,
        f"{table.name}. What was run is read from the artifact itself ({', '.join(trained) or 'none'}); `default`: not "
        "set, see the field's description. docs/paper_and_code.md says where the reference code differs.",
        rows=rows,
    )


BY_TASK = ("datasets", "experts", "oracles")
"""Blocks with one entry per task; entries of tasks that were not run do not count as differences."""
UNSET = "not set"


class Difference(NamedTuple):
    """A setting with another value than the paper's profile."""

    field: str
    ours: str
    paper: str


def differing_settings(ours: ParamsBlock, paper: ParamsBlock) -> list[Difference]:
    """Two blocks of a suite -> the settings whose printed values differ, in the order of ours, then the paper's."""
    tasks = set(ours.get("tasks", []))
    mine, theirs = dict(flat(ours)), dict(flat(paper))

    def counts(field: str) -> bool:
        block, _, rest = field.partition(".")
        return block not in BY_TASK or rest.split(".")[0] in tasks

    return [
        Difference(field, mine.get(field, UNSET), theirs.get(field, UNSET))
        for field in dict.fromkeys([*mine, *theirs])
        if counts(field) and not same(mine.get(field, UNSET), theirs.get(field, UNSET))
    ]
