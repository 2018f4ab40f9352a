"""Who feeds whom, from the runs of a suite to its page, and from all suites to the overview (paper 4 and A.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kedro.pipeline import Pipeline

from viper_pipeline.core.config import ParamsBlock
from viper_pipeline.pipelines.models.probe import is_probed
from viper_pipeline.pipelines.params import learned, learns_ratio, seeds_of
from viper_pipeline.pipelines.report.films import film_agents
from viper_pipeline.pipelines.report.nodes import aggregate, draw_figures, write_cards, write_overview, write_report
from viper_pipeline.pipelines.wiring import argument, arguments, bind, stage
from viper_pipeline.reporting.results import ModelKey, Row, RunKey, TaskKey
from viper_pipeline.rewards.methods import RATIO_MODEL


def create(suite: str, suite_config: ParamsBlock, seeds: Sequence[int], pages: Sequence[str]) -> Pipeline:
    """Five stages that end in reports/<suite>; pages: the folders of reports/ that its page links to."""
    results, models = result_datasets(suite, suite_config, seeds), model_datasets(suite, suite_config)
    settings = {Row("settings", suite): f"params:suites.{suite}"}
    records = {"run_records": "run_records"}
    paper = {"base_profile": "base_profile", "paper_profile": "paper_profile"}
    everything = arguments(results | models | settings) | paper
    provenance = {"provenance": "provenance"}
    made = {name: f"{suite}/{name}" for name in ("metrics", "figures", "curves", "films")}
    films = arguments({row: dataset for row, dataset in results.items() if row.kind != "rewards"})
    blocks = {"env": f"params:suites.{suite}.env", "frames": f"params:suites.{suite}.frames"}
    page = bind(write_report, pages=pages)
    shown = {"profile": "params:profile", "measured": "measured"}
    found = arguments({Row("probes", suite): f"{suite}/probe"} if is_probed(suite) else {})
    made_by = records | {"costs": "costs"} | provenance
    measured = arguments(results | settings) | made_by
    numbers = [f"{suite}/metrics", f"{suite}/headline", f"{suite}/curves"]
    return Pipeline(
        [
            stage(suite, "aggregate", "all", aggregate, measured, numbers),
            stage(suite, "draw_figures", "all", draw_figures, everything | made_by, f"{suite}/figures"),
            stage(suite, "film_agents", "all", bind(film_agents, suite=suite), films | blocks, f"{suite}/films"),
            stage(suite, "write_cards", "all", write_cards, arguments(results | models) | provenance, f"{suite}/cards"),
            stage(suite, "write_report", "all", page, everything | made | shown | found | provenance, f"{suite}/page"),
        ]
    )


def create_overview(reports: Iterable[str], pages: Sequence[str]) -> Pipeline:
    """The root page, from the metrics of every suite and other report; their order makes no difference."""
    metrics = {argument("metrics", name): f"{name}/metrics" for name in sorted(reports)}
    return Pipeline(
        [stage("report", "write_overview", "all", bind(write_overview, pages=pages), metrics, ["overview", "charts"])]
    )


def pages_of(params: ParamsBlock) -> list[str]:
    """The folders of reports/ that have a page with these parameters."""
    return [*reports_of(params), *(["ablations"] if params.get("ablations") else [])]


def reports_of(params: ParamsBlock) -> list[str]:
    """The folders of reports/ that have a metrics.json: those of the suites, and other profiles' reports."""
    return [*sorted(params["suites"]), *params.get("other_reports", [])]


def models_of(suite_config: ParamsBlock) -> list[str]:
    """The video models of a suite's block: those that it lists, and that of the likelihood ratio if it is a method."""
    return [*suite_config["video_models"], *([RATIO_MODEL] if learns_ratio(suite_config) else [])]


def result_datasets(suite: str, suite_config: ParamsBlock, seeds: Sequence[int]) -> dict[Row, str]:
    """What is measured: row -> dataset, of every run, expert set, baseline and reward. suite_config: of the suite."""
    found: dict[Row, str] = {}
    for method, tasks in learned(suite_config).items():
        for task in tasks:
            for agent in suite_config["agents"]:
                for seed in seeds_of(suite_config, method, seeds):
                    run = Row("agents", RunKey(suite, task, method, agent, seed))
                    found[run] = f"{suite}/{task}/{method}/{agent}/{seed}/run"
    for task in suite_config["tasks"]:
        found[Row("experts", TaskKey(suite, task))] = f"{suite}/{task}/experts"
        found[Row("baseline_episodes", TaskKey(suite, task))] = f"{suite}/{task}/baseline_episodes"
    for model in models_of(suite_config):
        found[Row("rewards", ModelKey(suite, model))] = f"{suite}/{model}/reward"
    return found


def model_datasets(suite: str, suite_config: ParamsBlock) -> dict[Row, str]:
    """What is shown besides: row -> dataset, of the tokenizer and every video model."""
    models = {
        Row("video_models", ModelKey(suite, model)): f"{suite}/{model}/video_model" for model in models_of(suite_config)
    }
    return {Row("tokenizers", suite): f"{suite}/tokenizer"} | models
