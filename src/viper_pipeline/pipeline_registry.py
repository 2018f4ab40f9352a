"""Every pipeline, built from the grid in params.yaml: suites, tasks, models, methods, agents, seeds."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from viper_pipeline.core.errors import BadEnvironment, BadParams
from viper_pipeline.core.files import Json, JsonView
from viper_pipeline.dvc_bridge.estimates import Cost
from viper_pipeline.dvc_bridge.project import Lookup, Part, Project

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline


def build(params: JsonView) -> dict[str, Pipeline]:
    """One pipeline per suite, from experts to the suite's page, and `report`, the overview over all suites.

    No suite needs anything of another. A block `ablations` makes a pipeline beside them.
    """
    from viper_pipeline.pipelines.ablations import pipeline as ablations
    from viper_pipeline.pipelines.agents import pipeline as agents
    from viper_pipeline.pipelines.experts import pipeline as experts
    from viper_pipeline.pipelines.models import pipeline as models
    from viper_pipeline.pipelines.report import pipeline as report

    suites, seeds = params["suites"], params["seeds"]
    pages = report.pages_of(params)
    built = {
        name: experts.create(name, suite_config)
        + models.create(name, suite_config)
        + agents.create(name, suite_config, seeds)
        + report.create(name, suite_config, seeds, pages)
        for name, suite_config in suites.items()
    }
    if block := params.get("ablations"):
        built["ablations"] = ablations.create(block, suites[block["suite"]], seeds, pages)
    return built | {"report": report.create_overview(report.reports_of(params), pages)}


def sources(params: JsonView) -> dict[str, str]:
    """Dataset name -> the file or folder of videos that params.yaml names for a task."""
    return {
        f"{suite}/{task}/source": dataset["path"]
        for suite, suite_config in params["suites"].items()
        for task, dataset in suite_config["datasets"].items()
    }


def check_params(params: JsonView) -> None:
    """Raise BadParams with one line per mistake."""
    from viper_pipeline.pipelines.params_check import validate

    validate(params)


def lacks(params: JsonView) -> list[str]:
    """What this machine lacks for these parameters, a line each."""
    from viper_pipeline.pipelines.params_fit import missing_devices

    lines = list(missing_devices((params.get("runtime") or {}).get("compute") or {}))
    if (word := params.get("tracking") or "none") != "none":
        from viper_pipeline.reporting.tracking import check_tracking

        try:
            check_tracking(word)
        except BadEnvironment as error:
            lines.append(str(error))
    return lines


def symbolic(params: JsonView, symbol: Callable[[str, str], str]) -> Json:
    """The parameters with each axis' list replaced by one symbol; `every_task` says that all tasks are meant."""
    out: Json = copy.deepcopy(dict(params))
    out["seeds"] = [symbol("all", "seed")]
    for suite, block in out["suites"].items():
        task = symbol(suite, "task")
        block["tasks"], block["every_task"] = [task], [symbol(suite, "everytask")]
        block["datasets"] = {task: {"path": symbol(suite, "source")}}
        if block.get("learned_tasks"):
            block["learned_tasks"], block["every_task"] = [symbol(suite, "learned")], [symbol(suite, "everylearned")]
        if more := block.get("more_methods"):
            block["more_methods"] = {method: [symbol(suite, f"only_{method}")] for method in more}
        if own := block.get("method_seeds"):
            block["method_seeds"] = {method: [symbol(suite, f"seed_{method}")] for method in own}
        for axis, key in (("model", "video_models"), ("agent", "agents")):
            if key in block:
                block[key] = [symbol(suite, axis)]
    for axis, key in (("beta", "betas"), ("rival", "models"), ("context", "contexts"), ("scoring", "scorings")):
        if (out.get("ablations") or {}).get(key):
            out["ablations"][key] = [symbol("all", axis)]
    return out


def episodes_lineage(path: Path) -> str:
    """The lineage that a file of episodes carries, as JSON."""
    from viper_pipeline.data.hdf5 import read_lineage

    return read_lineage(path)


def first_targets(params: JsonView) -> list[str]:
    """What `viper run` alone brings up to date: DeepMind Control, or all if params.yaml has no such suite."""
    return ["pipelines/dmc/dvc.yaml"] if "dmc" in params["suites"] else []


def renew_overview(root: Path) -> Iterator[str]:
    """Write reports/index.html anew, if a suite's metrics are newer; says where to look."""
    page = root / "reports/index.html"
    metrics = [path.stat().st_mtime for path in root.glob("reports/*/metrics.json")]
    if metrics and (not page.exists() or max(metrics) > page.stat().st_mtime):
        from viper_pipeline.pipelines.report.commands import overview_command

        overview_command(root)
        yield f"see reports/dmc/index.html, and {page.relative_to(root)} over all suites"


def committed_costs(root: Path) -> dict[str, Cost]:
    """What stages took for the reports that are there: node -> cost."""
    found: dict[str, Cost] = {}
    for path in sorted(root.glob("reports/*/metrics.json")):
        metrics = json.loads(path.read_text())
        costs = {} if "profile" in metrics else metrics.get("costs") or {}  # another profile's stages take longer
        found |= {node: Cost(float(cost["seconds"]), str(cost.get("machine", ""))) for node, cost in costs.items()}
    return found


PROJECT = Project(
    build=build,
    symbolic=symbolic,
    sources=sources,
    check=check_params,
    lacks=lacks,
    axes={
        "only_*": "suites.{block}.more_methods.{*}",
        "task": "suites.{block}.tasks",
        "learned": "suites.{block}.learned_tasks",
        "model": "suites.{block}.video_models",
        "agent": "suites.{block}.agents",
        "seed_*": "suites.{block}.method_seeds.{*}",
        "seed": "seeds",
        "beta": "ablations.betas",
        "rival": "ablations.models",
        "context": "ablations.contexts",
        "scoring": "ablations.scorings",
    },
    every={"everytask": "task", "everylearned": "learned"},
    lookups={"source": Lookup("task", "suites.{block}.datasets", "path")},
    at_root=("report",),
    default=first_targets,
    after_default=renew_overview,
    committed_costs=committed_costs,
    parts=(
        Part("viper_pipeline.envs:SUITES", value="{suite}"),
        Part("viper_pipeline.video_models:VIDEO_MODELS", value="{model}"),
        Part("viper_pipeline.agents.base:AGENTS", value="{agent}"),
        Part("viper_pipeline.tokenizers:TOKENIZERS", value="{tokenizer_kind}"),
        Part("viper_pipeline.tokenizers:TOKENIZERS", path="suites.{suite}.tokenizer.kind", default="vqgan"),
        Part("viper_pipeline.tokenizers:TRAINABLE_TOKENIZERS", path="suites.{suite}.tokenizer.kind", default="vqgan"),
        Part("viper_pipeline.rewards.base:REWARDS", value="{reward}"),
        Part("viper_pipeline.rewards.base:EXPLORATION", value="{exploration}"),
        Part("viper_pipeline.rewards.base:EXPLORATION", value="none"),  # what a node does to which none is bound
        Part("viper_pipeline.experts.base:EXPERTS", path="suites.{suite}.experts.{task}.algorithm", default="sac"),
        Part("viper_pipeline.data.importers:IMPORTERS", path="suites.{suite}.datasets.{task}.kind"),
    ),
    neutral=("runtime.workers",),
    libraries=(
        "torch", "numpy", "scipy", "h5py", "pillow", "mujoco", "dm_control", "gymnasium", "stable-baselines3",
        "ale-py", "rlbench",
    ),
    readers={".h5": episodes_lineage},
)  # fmt: skip


def register_pipelines() -> dict[str, Pipeline]:
    """What Kedro calls. Raises KedroParams for wrong parameters, since of other errors Kedro shows a traceback."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.dvc_bridge.run_stage import registered
    from viper_pipeline.hooks import KedroParams

    try:
        return registered(PROJECT, project_root())
    except BadParams as error:
        raise KedroParams(str(error)) from error
