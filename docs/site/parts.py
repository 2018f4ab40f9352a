"""Generated parts of the docs site: numbers of the reports, settings, and the commands' help."""

from __future__ import annotations

import json
import pydoc
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import pandas as pd
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from readme import PARTS, ROOT, merged_metrics, metrics_of, paper_claims, reports_of

from viper_pipeline.commands import cli
from viper_pipeline.core.files import JsonView
from viper_pipeline.pipelines.experts.export import FOLDER, read_expert_records
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.reporting.comparisons import score_text, verdicts
from viper_pipeline.reporting.metrics import suite_of
from viper_pipeline.reporting.paper_data import paper_score
from viper_pipeline.reporting.statistics import t_interval
from viper_pipeline.reporting.summary import RIVAL_NAMES, auroc_number
from viper_pipeline.rewards.pretrained import CARD, PRETRAINED, pretrained

BLOCKS = {
    "env": "viper_pipeline.envs.base.EnvSettings",
    "frames": "viper_pipeline.envs.base.FrameSettings",
    "curation": "viper_pipeline.data.curation.CurationConfig",
    "tokenizer": "viper_pipeline.tokenizers.vqgan_training.VQGANConfig",
    "videogpt": "viper_pipeline.video_models.videogpt.VideoGPTConfig",
    "reward": "viper_pipeline.rewards.viper.ViperConfig",
    "reward_evaluation": "viper_pipeline.rewards.scores.EvaluationConfig",
    "exploration": "viper_pipeline.rewards.base.RNDConfig",
    "amp": "viper_pipeline.rewards.base.AMPConfig",
    "viper_ratio": "viper_pipeline.rewards.base.RatioConfig",
    "drq": "viper_pipeline.agents.drq.DrQConfig",
    "runs": "viper_pipeline.agents.base.RunConfig",
}
"""Blocks of a suite in params.yaml, and the classes that check them."""


PICTURES = (".svg", ".png", ".webp")
SHOWN = (*PICTURES, ".html", ".js", ".mp4")
"""Files of reports/ that the site has, too."""
REPORTS = re.compile(r"\]\(((?:\.\./)+)(reports/[^)#\s]+)")
"""A link of a page to a file of reports/."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by mkdocs once: the committed reports become part of the site, with their figures."""
    for path in sorted((ROOT / "reports").rglob("*")):
        if path.suffix in SHOWN:
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page: replaces marks such as `<!-- settings -->`.

    Links to `../reports/` are right in the repository; the site has the reports beside the pages, one folder lower. A
    picture that is drawn in another format by now is found by its name.
    """
    markdown = REPORTS.sub(lambda found: f"]({found[1].removesuffix('../')}{_drawn(found[2])}", markdown)
    makers = {
        **{name: partial(part, ROOT) for name, part in PARTS.items()},
        "agents": agents,
        "other_settings": other_settings,
        "rewards": rewards,
        "ablations": ablations,
        "experts": experts,
        "desk_reward": desk_reward,
        "desk_agents": desk_agents,
        "all_claims": all_claims,
        "commands": commands,
        "cards": cards,
        "settings": settings,
    }
    for name, make in makers.items():
        if (mark := f"<!-- {name} -->") in markdown:
            markdown = markdown.replace(mark, "\n".join(make()))
    return markdown


def _drawn(path: str) -> str:
    """The path, or that of a picture of the same name in the format that there is."""
    others = (Path(path).with_suffix(ending) for ending in PICTURES if path.endswith(PICTURES))
    return next((str(other) for other in (Path(path), *others) if (ROOT / other).exists()), path)


def agents() -> Iterator[str]:
    """A table and the verdicts for every task that agents were trained on."""
    return _agents(merged_metrics(ROOT))


def desk_agents() -> Iterator[str]:
    """The same of profile desk."""
    return _agents(metrics_of(ROOT, "desk"))


def _agents(found: JsonView) -> Iterator[str]:
    for suite, tasks in found["agents"].items():
        for task, runs in tasks.items():
            baselines = found["baselines"][suite][task]
            for agent, methods in runs.items():
                yield f"### {task} ({suite}, {agent})\n"
                yield "| method | true return | 95 % interval | seeds | agent steps |\n|---|---|---|---|---|"
                for method, m in methods.items():
                    ends = t_interval(m["per_seed"])
                    between = " to ".join(score_text(suite, end) for end in ends or ())
                    mean = score_text(suite, m["final_return"])
                    yield f"| {method} | {mean} | {between} | {m['seeds']} | {m['steps']} |"
                for who in ("random", "idle", "expert"):
                    if (value := baselines.get(f"{who}_return")) is not None:
                        yield f"| {who} | {score_text(suite, value)} | | | |"
                if (theirs := paper_score(suite, task, "viper")) is not None:
                    yield f"| the paper's VIPER with DreamerV3, at a far larger budget | {theirs:.0f} | | 3 | |"
                yield ""
                yield from (
                    f"- {sentence}" for sentence in verdicts(suite, methods, baselines, found["methods"].get(suite, []))
                )
                yield ""


def other_settings() -> Iterator[str]:
    """Recorded runs that other parameters made: what they returned, and what differs."""
    yield "| suite | task | method | agent | seeds | true return, mean (each seed) | made by | what differs |"
    yield "|---|---|---|---|---|---|---|---|"
    for report, found in reports_of(ROOT).items():
        suite = suite_of(report, found)
        rows = found.get("run_records", {}).get("other_settings", [])
        for row in sorted(rows, key=lambda row: (row["task"], row["agent"], row["method"])):
            seeds = ", ".join(score_text(suite, value) for value in row["per_seed"])
            cells = (suite, row["task"], row["method"], row["agent"], str(row["seeds"]))
            mean = f"{score_text(suite, row['final_return'])} ({seeds})"
            yield f"| {' | '.join(cells)} | {mean} | {row['origin']} | {row['differs']} |"


def rewards() -> Iterator[str]:
    """Every reward of the committed reports, task by task: how well it separates experts from other behavior."""
    titles = ("suite", "model", "task", "unit", "AUROC against random play", "against the hardest play", "videos")
    yield f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"
    for suite, models in merged_metrics(ROOT)["rewards"].items():
        for model, about in models.items():
            for task, row in about["tasks"].items():
                kinds, name = row["kinds"], "window" if about.get("mode") == "joint" else "frame"
                random, count = _auroc(kinds["random"], name), kinds[row.get("experts", "held_out")]["videos"]
                hardest = "" if "auroc_step" in row else _auroc(row, name)
                against = row.get(f"auroc_{name}", {}).get("against", "") if hardest else ""
                # reports of earlier code name neither the unit nor the hardest play
                unit = "" if "auroc_step" in row else name
                yield (
                    f"| {suite} | {model} | {task} | {unit} | {random} | {hardest}{f', {against}' if against else ''} "
                    f"| {count} experts, {kinds['random']['videos']} random |"
                )


def _auroc(row: Mapping[str, Any], name: str) -> str:
    found = row.get(f"auroc_{name}") or row.get("auroc_step")
    if not isinstance(found, Mapping):
        return f"{found:.3f}"
    return auroc_number(found)


def ablations() -> Iterator[str]:
    """Every variant of the ablations: true return of its agents, and the AUROC of its reward."""
    found = metrics_of(ROOT, "ablations")
    yield "| part | variant | true return | seeds | agent steps | AUROC of its reward |"
    yield "|---|---|---|---|---|---|"
    for axis, variants in found["axes"].items():
        for name, row in variants.items():
            own = " (the suite's own)" if row["own"] else ""
            scored = row.get("auroc") or row.get("auroc_step")
            auroc = "" if scored is None else _auroc({"auroc_step": scored}, "step")
            cells = (axis, f"{name}{own}", f"{row['final_return']:.0f}", row["seeds"], f"{row['steps']:,}", auroc)
            yield f"| {' | '.join(map(str, cells))} |"


def all_claims() -> Iterator[str]:
    """Every claim of the paper, and what the committed reports say of it."""
    yield "| paper | claim | ours | n | effect | 95 % interval | verdict |\n|---|---|---|---|---|---|---|"
    yield from (f"| {' | '.join(row)} |" for row in paper_claims(ROOT))


def experts() -> Iterator[str]:
    """Every task of profile desk: what its exported expert returns, beside the paper's; a dash: not trained yet."""
    paper = pd.read_csv(ROOT / FOLDER / "paper_dmc.csv", index_col="task").p90_return
    records = read_expert_records(ROOT)
    titles = ("task", "mean return", "10th to 90th percentile", "episodes", "agent steps of training", "the paper's")
    yield f"| {' | '.join(titles)} |"
    yield "|---|---|---|---|---|---|"
    for task in read_profile(ROOT / "profiles/desk.yaml")["suites"]["dmc"]["tasks"]:
        theirs = f"{paper[task]:.0f}"
        if (record := records.get(("dmc", task))) is None:
            yield f"| {task} | - | - | - | - | {theirs} |"
            continue
        about = json.loads((ROOT / FOLDER / "dmc" / task / "config.json").read_text())
        low, high = np.percentile(record.returns, (10, 90))
        ours = f"{np.mean(record.returns):.0f} | {low:.0f} to {high:.0f} | {len(record.returns)}"
        yield f"| {task} | {ours} | {about['steps_trained']} | {theirs} |"


def desk_reward() -> Iterator[str]:
    """Every task of profile desk: AUROCs of its reward against each kind of play, and what the gate says."""
    (about,) = metrics_of(ROOT, "desk")["rewards"]["dmc"].values()
    yield f"| task | {' | '.join(f'against {name}' for name in RIVAL_NAMES.values())} | whole videos, hardest | gate |"
    yield f"|{'---|' * (len(RIVAL_NAMES) + 3)}"
    for task, row in about["tasks"].items():
        cells = [_auroc(row["kinds"][kind], "frame") for kind in RIVAL_NAMES]
        gate = "accepts" if row["gate"]["usable"] else "refuses: " + "; ".join(row["gate"]["reasons"])
        yield f"| {task} | {' | '.join(cells)} | {row['auroc_episode']:.2f} | {gate} |"


def commands() -> Iterator[str]:
    """Every command with its help."""
    for path, command in _leaves(cli, ("viper",)):
        with click.Context(command, info_name=" ".join(path)) as context:
            yield f"## {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```\n"


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _leaves(command.commands[name], (*path, name))
    else:
        yield path, command


def settings() -> Iterator[str]:
    """Every field of the most common blocks: its default, and what it means."""
    todo: list[tuple[str, Any]] = [(f"`suites.<suite>.{block}`", pydoc.locate(name)) for block, name in BLOCKS.items()]
    for title, config in todo:
        yield f"## {title}\n\n{(config.__doc__ or '').splitlines()[0]}\n"
        yield "| field | default | meaning |\n|---|---|---|"
        for name, field in config.model_fields.items():
            inner = next(
                (c for c in (field.annotation, *get_args(field.annotation)) if hasattr(c, "model_fields")), None
            )
            if inner is not None:
                todo.append((f"{title[:-1]}.{name}`", inner))
            default = (
                ""
                if field.is_required()
                else "see below"
                if inner
                else f"`{field.get_default(call_default_factory=True)}`"
            )
            meaning = (field.description or ("see below" if inner else "")).replace("|", "\\|")
            yield f"| `{name}` | {default} | {meaning} |"
        yield ""


def cards() -> Iterator[str]:
    """The cards of the rewards that come with the package, one heading lower."""
    for name in pretrained():
        text, fenced = (PRETRAINED / name / CARD).read_text(), False
        for line in text.splitlines():
            fenced ^= line.startswith("```")
            yield f"#{line}" if line.startswith("#") and not fenced else line
