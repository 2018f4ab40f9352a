"""What a profile costs: counts follow from its settings, hours from counts and measurements."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from viper_pipeline.agents.base import RunConfig
from viper_pipeline.core.errors import BadData, BadParams
from viper_pipeline.experts.search import SearchConfig
from viper_pipeline.pipelines.params import Params
from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tools import cost as table
from viper_pipeline.tools.cost import Work, units_of, work_of
from viper_pipeline.tools.cost_probes import PROBE_STEPS, CostProbe, probe

ROOT = Path(__file__).parents[2]
UNTIMED = {
    f"rlbench: {unit}"  # its simulator is in no package index, so its agents cannot be counted
    for unit in (
        "frame drawn",
        "dreamer evaluated step",
        "dreamer step with bonus against experts",
        "dreamer frame rewarded by videogpt",
    )
}


def profile(name: str, **runs: int) -> Params:
    raw = read_profile(ROOT / f"profiles/{name}.yaml")
    for key, value in runs.items():
        raw["suites"]["dmc"]["runs"][key] = value
    return validate(raw)


def counts(params: Params) -> dict[tuple[str, str], Work]:
    return {(work.suite, work.stage): work for work in work_of(params)}


def test_every_unit_of_a_profile_can_be_timed() -> None:
    for name in ("laptop", "desk", "games", "small", "paper"):
        params = profile(name)
        for work in work_of(params):
            assert set(work.units) <= set(units_of(params.suites[work.suite])), (name, work)


def test_an_expert_from_a_file_costs_no_steps_and_leaves_the_others_to_be_timed() -> None:
    raw = read_profile(ROOT / "profiles/laptop.yaml")
    suite = raw["suites"]["dmc"]
    first, other = suite["tasks"]
    suite["experts"][first] = {"algorithm": "file", "path": "anywhere"}
    params = validate(raw)
    units = counts(params)["dmc", "train_expert"].units
    assert units == {"expert step": suite["experts"][other]["steps"]}
    assert probe(params, "dmc", "expert step", "cpu")["seconds"] > 0


def test_a_method_runs_with_its_own_seeds() -> None:
    found = counts(profile("desk"))
    assert found["dmc", "train_agent_viper drq"].runs == 9 * 5 and found["dmc", "train_agent_amp drq"].runs == 9 * 3


def test_a_stage_takes_as_often_as_the_grid_says() -> None:
    params = profile("paper")
    found, dmc = counts(params), params.suites["dmc"]
    assert found["dmc", "train_agent_viper drq"].runs == len(dmc.tasks) * len(params.seeds)
    assert found["dmc", "train_tokenizer"].runs == 1


def test_twice_the_steps_are_twice_the_learning_and_nothing_else_changes() -> None:
    once = counts(profile("laptop", random_steps=0, steps=10_000))
    twice = counts(profile("laptop", random_steps=0, steps=20_000))
    key = ("dmc", "train_agent_viper drq")
    assert twice[key].units["drq step with bonus"] == 2 * once[key].units["drq step with bonus"]
    assert {k: w for k, w in once.items() if "agent" not in k[1]} == {
        k: w for k, w in twice.items() if "agent" not in k[1]
    }


def test_hours_are_counts_times_seconds_and_unknown_where_a_unit_is() -> None:
    work = Work("dmc", "a stage", 2, {"x": 7200, "y": 10})
    assert table.hours(work, {"dmc: x": {"seconds": 0.5}, "dmc: y": {"seconds": 360}}) == 2
    assert table.hours(work, {"dmc: x": {"seconds": 0.5}}) is None
    *_, total = table.table([work, Work("dmc", "b", 1)], {"dmc: x": {"seconds": 0.5}, "dmc: y": {"seconds": 360}})
    assert total.split()[:3] == ["all", "3", "2.00"]


def test_a_figure_costs_what_the_stages_cost_that_it_is_drawn_from() -> None:
    works = work_of(profile("paper"))
    each = {f"{w.suite}: {unit}": {"seconds": 1.0} for w in works for unit in w.units}
    lines = dict(line.split(maxsplit=1) for line in table.figure_lines(works, each))
    hours = {name: float(text.split()[-1].replace(",", "")) for name, text in lines.items() if name != "figure"}
    one = {w.stage: table.hours(w, each) for w in works if w.suite == "dmc"}
    experts = sum(one[name] for name in ("train_expert", "record_episodes", "record_baselines", "curate_experts"))
    assert hours["fig14"] == pytest.approx(experts, abs=0.1)
    assert hours["fig12"] == pytest.approx(sum(one.values()), abs=0.1)
    assert hours["fig14"] < hours["fig17"] < hours["fig12"] < hours["fig03"]
    assert "table1" not in hours


def test_units_are_timed() -> None:
    params = profile("tiny")
    for unit in units_of(params.suites["dmc"]):
        assert 0 < probe(params, "dmc", unit, "cpu")["seconds"] < 60, unit


def test_what_was_kept_is_not_measured_again(tmp_path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text("{")
    with pytest.raises(BadData, match=r"kept\.json: not JSON"):
        table.cost_command(ROOT, "tiny", None, str(kept), print)
    params, hardware = profile("tiny"), table.measured_machine("cpu")
    units = [f"{name}: {unit}" for name, suite in params.suites.items() for unit in units_of(suite)]
    known = {unit: {"seconds": 1.0, "peak_gb": 0.5, "batch": 1} for unit in units}
    del known["dmc: frame drawn"]
    others = {"other": {"seconds": 2.0, "peak_gb": 0.5, "batch": 1}}
    kept.write_text(json.dumps({"tiny": {hardware: known, "Abacus": others}, "paper": {"Abacus": others}}))
    said: list[str] = []
    for _ in range(2):
        table.cost_command(ROOT, "tiny", None, str(kept), said.append)
    assert [line.split(":")[1].strip() for line in said if line.startswith("  dmc: ")] == ["frame drawn"]
    found = json.loads(kept.read_text())
    row = found["tiny"][hardware].pop("dmc: frame drawn")
    assert 0 < row["seconds"] < 10
    assert found == {"tiny": {hardware: known, "Abacus": others}, "paper": {"Abacus": others}}


def test_an_agents_step_is_timed_in_this_process_even_where_environments_have_their_own() -> None:
    assert 0 < probe(profile("tiny", processes=True), "dmc", "drq step", "cpu")["seconds"] < 60


def test_an_agent_that_is_curious_by_itself_is_timed_with_its_own_curiosity(monkeypatch) -> None:
    told: list[dict] = []

    class Seen(Exception):
        pass

    def note(*_, **how):
        told.append(how)
        raise Seen

    monkeypatch.setattr("viper_pipeline.tools.cost_probes.train_in_environment", note)
    params = profile("paper")
    for suite, agent in (("dmc", "drq"), ("dmc", "dreamer"), ("atari", "dreamer")):
        for bonus in ("", " with bonus"):
            with pytest.raises(Seen):
                probe(params, suite, f"{agent} step{bonus}", "cpu")
    assert [how["curious"] for how in told] == [False, False, False, True, False, True]
    assert [how["exploration"] is not None for how in told] == [False, True, False, False, False, False]
    assert [how["discrete"] for how in told] == [False] * 4 + [True] * 2


def test_an_agent_with_limits_of_its_own_is_counted_by_them() -> None:
    params = profile("paper")
    dmc, found = params.suites["dmc"], counts(params)
    own = dmc.limits("dreamer")
    assert own.steps != dmc.runs.steps
    for agent, limits in (("dreamer", own), ("drq", dmc.runs)):
        work = found["dmc", f"train_agent_task_reward_plain {agent}"]
        assert work.units[f"{agent} step"] == work.runs * (limits.steps - limits.random_steps)


def searched_games() -> Params:
    """The laptop's games, of which two are searched; only the other two are learned."""
    raw = read_profile(ROOT / "profiles/laptop.yaml")
    recipes = raw["suites"]["atari"]["experts"]
    recipes["freeway"] = {"algorithm": "search", "futures": 8, "horizon": 24, "hold": 2, "follow": 6}
    recipes["kangaroo"] = {"algorithm": "search", "futures": 8, "horizon": 50, "hold": 6, "follow": 10}
    raw["suites"]["atari"]["learned_tasks"] = ["boxing", "pong"]
    return validate(raw)


def test_games_that_are_searched_cost_what_is_imagined() -> None:
    params = searched_games()
    atari, work = params.suites["atari"], counts(params)["atari", "record_episodes"]
    searched = [r.imagined for r in atari.experts.values() if isinstance(r, SearchConfig)]
    assert searched == [8 * 24 / 6, 8 * 50 / 10]
    assert work.units["step imagined"] == sum(searched) * work.units["frame drawn"] / len(atari.tasks)


def test_what_nothing_learns_costs_its_experts_alone() -> None:
    params = searched_games()
    atari, found = params.suites["atari"], counts(params)
    assert (found["atari", "record_episodes"].runs, found["atari", "encode_experts"].runs) == (4, 2)
    all_learned = atari.model_copy(update={"learned_tasks": None})
    more = counts(params.model_copy(update={"suites": params.suites | {"atari": all_learned}}))
    assert more["atari", "record_episodes"].units == found["atari", "record_episodes"].units
    for stage, unit in (("encode_experts", "frame encoded"), ("evaluate_reward videogpt", "frame scored by videogpt")):
        share = found["atari", stage].units[unit] / more["atari", stage].units[unit]
        assert share == pytest.approx(2 / 4)


def test_a_search_is_timed() -> None:
    params = searched_games()
    assert 0 < probe(params, "atari", "step imagined", "cpu")["seconds"] < 1


def test_one_suite_alone_is_counted() -> None:
    params = profile("games")
    assert {work.suite for work in work_of(table.of_suites(params, ["atari"]))} == {"atari"}
    assert table.of_suites(params, []) == params
    with pytest.raises(BadParams, match=r"--suite atary: profile games has no such suite \(did you mean 'atari'"):
        table.of_suites(params, ["atary"])


def test_the_ratio_is_judged_by_the_random_play_that_it_did_not_learn_from() -> None:
    params = profile("laptop")
    found, atari = counts(params), params.suites["atari"]
    plain, ratio = (found["atari", stage].units for stage in ("evaluate_reward videogpt", "evaluate_reward_ratio"))
    frames = len(atari.tasks) * (3000 // 4 + 1) / atari.curation.stride
    fewer = plain["frame scored by videogpt"] - ratio["frame scored by videogpt_ratio"]
    assert atari.baselines.random == 30 and fewer == pytest.approx((30 - 7) * frames)


def test_profile_games_has_every_agent_of_its_plan() -> None:
    found = counts(profile("games"))
    for method in ("task_reward", "viper", "viper_ratio", "viper_ratio_replay", "exploration"):
        assert found["atari", f"train_agent_{method} dqn"].runs == 4 * 3
    learned = {
        method: found["atari", f"train_agent_{method} dqn"].units for method in ("viper_ratio", "viper_ratio_replay")
    }
    unit = "clip learned by videogpt_ratio"  # of what follows the agent: 25 updates of 16 clips every 4,000 steps
    assert unit not in learned["viper_ratio"] and learned["viper_ratio_replay"][unit] == 12 * 25 * 25 * 16


def test_hardware_that_was_not_measured_is_refused() -> None:
    with pytest.raises(BadParams, match="not been measured on 'Abacus'"):
        table.cost_command(ROOT, "paper", "Abacus", None, print)


def test_what_is_stored_covers_the_profile_that_it_names() -> None:
    for name in ("laptop", "desk", "games", "small", "paper"):
        for hardware, measured in table.stored(name).items():
            unknown = {f"{w.suite}: {u}" for w in work_of(profile(name)) for u in w.units} - set(measured)
            assert hardware and unknown <= UNTIMED


def test_agents_pay_for_their_rewards_their_evaluations_and_a_discriminator() -> None:
    params = profile("laptop")
    raw = read_profile(ROOT / "profiles/laptop.yaml")
    raw["suites"]["dmc"]["methods"] = ["viper", "task_reward", "exploration", "amp", "task_reward_plain"]
    more = validate(raw)
    dmc, found = more.suites["dmc"], counts(more)
    runs = dmc.runs
    each = {stage: work.units for (suite, stage), work in found.items() if suite == "dmc" and "agent" in stage}
    assert [unit for unit in each["train_agent_viper drq"] if "rewarded" in unit] == ["drq frame rewarded by videogpt"]
    assert "drq step with bonus against experts" in each["train_agent_amp drq"]
    assert "drq step" in each["train_agent_task_reward_plain drq"]
    assert set(counts(params)["dmc", "train_agent_viper drq"].units) == set(each["train_agent_viper drq"])
    agents = found["dmc", "train_agent_viper drq"].runs
    episodes = runs.steps // runs.eval_every * runs.eval_episodes + runs.final_episodes
    assert each["train_agent_viper drq"]["drq evaluated step"] == agents * episodes * 251  # frames of an episode
    assert all("drq evaluated step" in units for units in each.values())


def test_a_bonus_that_learns_seldom_is_timed_over_a_whole_period(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    class Seen(Exception):
        pass

    def note(agent: str, config: object, run: RunConfig, *_: object, **how: object) -> None:
        told.append(run.steps)
        raise Seen

    monkeypatch.setattr("viper_pipeline.tools.cost_probes.train_in_environment", note)
    params = profile("laptop")
    dmc = params.suites["dmc"]
    for unit in ("drq step", "drq step with bonus"):
        with pytest.raises(Seen):
            probe(params, "dmc", unit, "cpu")
    plain, bonus = told
    period = dmc.exploration.update_every / (dmc.runs.updates_per_step * dmc.runs.envs)
    assert period > 1 and bonus - plain == PROBE_STEPS * (period - 1) * dmc.runs.envs


@pytest.mark.parametrize(("device", "takes", "found"), [("cpu", 0.5, 64), ("cpu", 1.5, 4), ("cuda", 1.5, 64)])
def test_a_cpu_gets_whole_batches_where_they_are_cheap(
    monkeypatch: pytest.MonkeyPatch, device: str, takes: float, found: int
) -> None:
    clock = itertools.count(0.0, takes)  # what timing 4 samples takes
    monkeypatch.setattr(CostProbe, "now", lambda self: next(clock))
    best = CostProbe("dmc", profile("tiny").suites["dmc"], device).best_batch
    assert best(4, 64, lambda batch: 1 / batch) == (1 / found, found)
    assert best(4, 2, lambda batch: 1 / batch) == (1 / 2, 2)
