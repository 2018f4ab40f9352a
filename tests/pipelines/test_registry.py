"""The real wiring: built from every profile, in step with the generated files, and complete in what it depends on."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from viper_pipeline import pipeline_registry
from viper_pipeline.commands import cli
from viper_pipeline.dvc_bridge.code_digest import Code
from viper_pipeline.dvc_bridge.code_yaml import chosen, read_table
from viper_pipeline.dvc_bridge.dvc_yaml import generate
from viper_pipeline.dvc_bridge.project import read_params
from viper_pipeline.dvc_bridge.templates import Wiring
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.rewards.methods import RATIO_METHODS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stages():
    params = read_params(ROOT / "params.yaml")
    return {stage.node: stage for stage in Wiring(ROOT).stages(params)}


@pytest.mark.parametrize("profile", ["tiny", "laptop", "desk", "games", "small", "paper"])
def test_every_profile_gives_a_graph_of_the_promised_size(profile):
    params = read_profile(ROOT / "profiles" / f"{profile}.yaml")
    built = pipeline_registry.build(params)
    block = params.get("ablations")
    assert set(built) == {*params["suites"], "report"} | ({"ablations"} if block else set())
    if block:
        models, seeds = len(block["models"]) + len(block["contexts"]), len(params["seeds"])
        scorings = len(block.get("scorings", []))
        assert (
            len(built["ablations"].nodes)
            == 2 * models + scorings + (models + scorings + len(block["betas"])) * seeds + 1
        )
    assert [node.name for node in built["report"].nodes] == ["report.write_overview.all"]
    for name, suite in params["suites"].items():
        learnable = len(suite.get("learned_tasks") or suite["tasks"])
        tasks = dict.fromkeys(suite["methods"], learnable)
        tasks |= {method: len(some) for method, some in suite.get("more_methods", {}).items()}
        own = suite.get("method_seeds", {})
        runs = sum(n * len(own.get(method, params["seeds"])) for method, n in tasks.items()) * len(suite["agents"])
        page = 5
        each = 4 * len(suite["tasks"]) + learnable
        models = len(suite["video_models"]) + any(method in tasks for method in RATIO_METHODS)
        probes = name == "atari"
        assert len(built[name].nodes) == each + 1 + probes + 2 * models + runs + page
    assert generate(ROOT, params)


def test_the_order_of_suites_decides_nothing():
    params = read_profile(ROOT / "profiles" / "tiny.yaml")
    turned = params | {"suites": dict(reversed(params["suites"].items()))}

    def wired(params):
        built = pipeline_registry.build(params)
        return {node.name: (set(node.inputs), set(node.outputs)) for name in built for node in built[name].nodes}

    assert wired(params) == wired(turned)


def test_the_committed_files_say_what_the_pipelines_say():
    assert CliRunner().invoke(cli, ["dvc", "check"], catch_exceptions=False).output == ""


def reached(node, **values):
    """Names of the files that a stage takes definitions from."""
    group, name = node.split(".")
    entry, code, params = read_table(ROOT)[group][name], Code.of(ROOT), read_params(ROOT / "params.yaml")
    used = {code.address(table): names for table, names in chosen(entry, values, params).items()}
    return {module.rpartition(".")[2] for module, _ in code.reach(entry.function, used).units}


def test_a_stage_depends_on_the_code_it_runs_and_on_no_other():
    tokenizer, expert = reached("dmc.train_tokenizer"), reached("dmc.train_expert", task="cartpole_balance")
    viper, rival = (reached(f"dmc.train_agent_{name}", agent="drq") for name in ("viper", "task_reward"))
    curate = reached("dmc.curate_experts", task="cartpole_balance")
    assert {"losses", "quantizer", "loop"} <= tokenizer
    assert not {"videogpt", "drq", "sb3", "plots"} & tokenizer
    assert {"sb3", "dmc"} <= expert and not {"vqgan", "videogpt", "drq"} & expert
    assert {"drq", "dmc", "videogpt", "vqgan", "viper", "rnd"} <= viper and not {"atari", "maskgit"} & viper
    assert "rnd" in rival and not {"videogpt", "vqgan", "amp"} & rival
    assert "dmc" in curate and not {"npz", "video", "atari"} & curate  # videos are the expert's own


def test_only_the_method_viper_reads_the_reward(stages):
    for node, stage in stages.items():
        if node.startswith("dmc.train_agent_"):
            assert ("data/rewards/dmc/videogpt" in stage.deps) == (".train_agent_viper." in node)
            assert not any(dep.startswith(("data/episodes", "data/experts")) for dep in stage.deps)


def test_an_ablation_changes_one_input_and_reads_the_suites_own_for_the_rest(stages):
    own = stages["dmc.train_agent_viper.cartpole_balance-drq-0"]
    beta = stages["ablations.train_agent_beta.0.5-0"]
    model = stages["ablations.train_agent_model.maskgit-0"]
    assert set(beta.deps) == set(own.deps) and set(model.params) == set(own.params)
    assert set(model.deps) ^ set(own.deps) == {
        f"data/{kind}/{place}"
        for kind in ("video_models", "rewards")
        for place in ("dmc/videogpt", "ablations/model_maskgit")
    }
    assert "maskgit" in reached("ablations.train_agent_model", rival="maskgit")
    assert {"videogpt", "maskgit"} & reached("ablations.train_agent_context") == {"videogpt"}
    kinds = ("model.videogpt_streaming", "scoring.kv_cache")
    full, cached = (stages[f"ablations.train_agent_{one}-0"] for one in kinds)
    read = {f"data/rewards/ablations/{which}" for which in ("model_videogpt_streaming", "scoring_kv_cache")}
    assert set(full.deps) ^ set(cached.deps) == read
    outside = [node for node, stage in stages.items() if any("ablations" in dep for dep in stage.deps)]
    assert all(node.startswith("ablations.") for node in outside)  # who leaves them out misses nothing


def test_amp_reads_the_videos_of_its_task_or_of_all():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    params["suites"]["dmc"]["methods"] = ["amp", "amp_multi"]
    shown = {
        stage.node: {dep for dep in stage.deps if dep.startswith("data/experts")}
        for stage in Wiring(ROOT).stages(params)
        if ".train_agent_" in stage.node
    }
    all_files = {f"data/experts/dmc/{task}.h5" for task in params["suites"]["dmc"]["tasks"]}
    assert shown["dmc.train_agent_amp.cartpole_balance-drq-0"] == {"data/experts/dmc/cartpole_balance.h5"}
    assert shown["dmc.train_agent_amp_multi.cartpole_balance-drq-0"] == all_files and len(all_files) == 2
    assert generate(ROOT, params)


def test_a_method_of_one_task_adds_its_runs_to_this_task_and_to_the_report():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    before = {s.node: s for s in Wiring(ROOT).stages(params)}
    params["suites"]["dmc"]["more_methods"] = {method: ["cartpole_balance"] for method in ("amp", "amp_multi")}
    after = {s.node: s for s in Wiring(ROOT).stages(params)}
    added = {f"dmc.train_agent_{method}.cartpole_balance-drq-0" for method in ("amp", "amp_multi")}
    assert after.keys() - before.keys() == added
    read = set(after["dmc.aggregate.all"].deps) - set(before["dmc.aggregate.all"].deps)
    assert read == {f"data/agents/dmc/cartpole_balance/{method}-drq/0" for method in ("amp", "amp_multi")}


def test_dvc_runs_a_method_of_some_tasks_over_these_tasks():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    params["suites"]["dmc"] |= {"methods": [], "more_methods": {"amp_multi": ["cartpole_balance"]}}
    said = yaml.safe_load(generate(ROOT, params)[ROOT / "pipelines/dmc/dvc.yaml"])["stages"]
    stage = said["train_agent_amp_multi"]
    assert list(stage["matrix"].values()) == [
        f"${{{path}}}" for path in ("suites.dmc.more_methods.amp_multi", "suites.dmc.agents", "seeds")
    ]
    assert "train_agent_viper" not in said and "data/experts/dmc/ball_in_cup_catch.h5" in stage["deps"]


def test_a_method_with_seeds_of_its_own_runs_over_these_and_the_report_waits_for_no_others():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    params["seeds"] = [0, 1, 2]
    params["suites"]["dmc"]["method_seeds"] = {"exploration": [0]}
    after = {s.node: s for s in Wiring(ROOT).stages(params)}
    seeds = {
        method: {node[-1] for node in after if node.startswith(f"dmc.train_agent_{method}.cartpole_balance")}
        for method in ("viper", "exploration")
    }
    assert seeds == {"viper": {"0", "1", "2"}, "exploration": {"0"}}
    shown = after["dmc.aggregate.all"].deps
    assert "data/agents/dmc/cartpole_balance/exploration-drq/0" in shown
    assert "data/agents/dmc/cartpole_balance/exploration-drq/1" not in shown
    said = yaml.safe_load(generate(ROOT, params)[ROOT / "pipelines/dmc/dvc.yaml"])["stages"]
    lists = [list(said[f"train_agent_{m}"]["matrix"].values())[-1] for m in ("viper", "exploration")]
    assert lists == ["${seeds}", "${suites.dmc.method_seeds.exploration}"]


def test_a_task_that_nothing_learns_has_experts_and_baselines_and_a_place_in_the_report():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    learned, other = "cartpole_balance", "ball_in_cup_catch"
    params["suites"]["dmc"]["learned_tasks"] = [learned]
    after = {s.node: s for s in Wiring(ROOT).stages(params)}
    made = {f"dmc.{stage}.{other}" for stage in ("train_expert", "record_episodes", "record_baselines")}
    assert {node for node in after if other in node} == made | {f"dmc.curate_experts.{other}"}
    stages = ("aggregate", "draw_figures", "film_agents", "write_cards", "write_report")
    readers = {node for node, stage in after.items() if f"data/experts/dmc/{other}.h5" in stage.deps}
    assert readers == {f"dmc.{stage}.all" for stage in stages}
    said = yaml.safe_load(generate(ROOT, params)[ROOT / "pipelines/dmc/dvc.yaml"])["stages"]
    lists = {name: stage.get("matrix", {}).get("learned") for name, stage in said.items()}
    assert {name for name, path in lists.items() if path == "${suites.dmc.learned_tasks}"} == {
        "encode_experts", "train_agent_viper", "train_agent_task_reward", "train_agent_exploration"
    }  # fmt: skip
    assert "suites.dmc.learned_tasks" in said["train_video_model"]["params"]


def test_amp_of_all_tasks_is_not_shown_what_nothing_learns():
    params = read_profile(ROOT / "profiles" / "laptop.yaml")
    params["suites"]["dmc"] |= {"learned_tasks": ["cartpole_balance"], "methods": ["amp_multi"]}
    stages = {s.node: s for s in Wiring(ROOT).stages(params)}
    agent = stages["dmc.train_agent_amp_multi.cartpole_balance-drq-0"]
    assert [dep for dep in agent.deps if dep.startswith("data/experts")] == ["data/experts/dmc/cartpole_balance.h5"]
    assert generate(ROOT, params)


def test_a_swapped_source_changes_one_dependency_and_no_file(stages):
    params = read_params(ROOT / "params.yaml")
    before = generate(ROOT, params)
    params["suites"]["dmc"]["datasets"]["cartpole_balance"] = {"kind": "npz", "path": "elsewhere/videos"}
    assert generate(ROOT, params) == before
    swapped = {s.node: s for s in Wiring(ROOT).stages(params)}
    differing = {node for node, stage in swapped.items() if stage.deps != stages[node].deps}
    assert differing == {"dmc.curate_experts.cartpole_balance"}


def test_how_many_processes_record_is_no_part_of_the_provenance(stages):
    pipelines = pipeline_registry.build(read_params(ROOT / "params.yaml"))
    assert "params:runtime.workers" in {name for p in pipelines.values() for node in p.nodes for name in node.inputs}
    assert not [node for node, stage in stages.items() if "runtime.workers" in stage.params]
