"""params.yaml: what is wrong with it is said at once, with the field and the remedy."""

import copy
from pathlib import Path

import click
import pytest
import yaml

from viper_pipeline.agents.dreamer.config import DreamerConfig
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadParams
from viper_pipeline.envs.rlbench import PAPER
from viper_pipeline.pipeline_registry import register_pipelines
from viper_pipeline.pipelines.params_check import check_command, validate
from viper_pipeline.pipelines.profiles import read_profile

ROOT = Path(__file__).parents[2]
NAMES = ("laptop", "desk", "arms", "dreamer", "games", "games_amp", "small", "paper", "tiny")
PROFILES = ["params.yaml", *(f"profiles/{name}.yaml" for name in NAMES)]


def read(name: str) -> dict:
    return read_profile(ROOT / name)


def put(params: dict, path: str, value: object) -> dict:
    params = copy.deepcopy(params)
    *parents, last = path.split(".")
    here = params
    for key in parents:
        here = here[key]
    if value is DELETE:
        del here[last]
    else:
        here[last] = value(here[last]) if callable(value) else value
    return params


DELETE = object()


def with_dreamer(dmc: dict, capacity: int) -> dict:
    return put(put(dmc, "agents", ["dreamer"]), "dreamer.runs.capacity", capacity)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_sound(name):
    assert validate(read(name), name).suites


def test_the_project_comes_with_the_laptop_profile():
    assert read("params.yaml") == read("profiles/laptop.yaml")


WRONG = {
    # path, value, what the message must hold
    "typo at the top": ("sedes", [0], ["sedes", "did you mean 'seeds'"]),
    "typo in a block": ("suites.dmc.curation.topk", 3, ["suites.dmc.curation.topk", "did you mean 'top_k'"]),
    "typo in a component": ("suites.dmc.videogpt.windw", 3, ["windw", "did you mean 'window'"]),
    "kv_cache without a cache": (
        "suites.dmc.reward.scoring",
        "kv_cache",
        ["suites.dmc.reward.scoring", "videogpt_streaming"],
    ),
    "typo in a suite's block": (
        "suites.dmc.tokeniser",
        {},
        ["suites.dmc.tokeniser", "did you mean 'tokenizer'"],
    ),
    "missing": ("suites.dmc.env.action_repeat", "four", ["suites.dmc.env.action_repeat", "integer"]),
    "missing block": ("suites.dmc.curation", DELETE, ["suites.dmc.curation", "missing"]),
    "wrong type": (
        "suites.dmc.tokenizer.training.steps",
        "many",
        ["suites.dmc.tokenizer.training.steps", "integer"],
    ),
    "out of range": ("suites.dmc.videogpt.layers", 0, ["layers", "greater than 0"]),
    "unknown suite": ("suites.dcm", {}, ["suites.dcm"]),
    "unknown task": (
        "suites.dmc.tasks",
        ["cartpole_balanse", "ball_in_cup_catch"],
        ["did you mean 'cartpole_balance'"],
    ),
    "task twice": ("suites.dmc.tasks", ["cartpole_balance"] * 2 + ["ball_in_cup_catch"], ["twice"]),
    "unknown task to learn": ("suites.dmc.learned_tasks", ["cartpole_balanse"], ["learned_tasks", "did you mean"]),
    "task to learn twice": ("suites.dmc.learned_tasks", ["cartpole_balance"] * 2, ["learned_tasks", "twice"]),
    "nothing to learn": ("suites.dmc.learned_tasks", [], ["suites.dmc.learned_tasks"]),
    "ablation of a task that is not learned": (
        "suites.dmc.learned_tasks",
        ["ball_in_cup_catch"],
        ["ablations.task: 'cartpole_balance' is no task that suites.dmc learns"],
    ),
    "task without data": (
        "suites.dmc.datasets.cartpole_balance",
        DELETE,
        ["suites.dmc.datasets", "cartpole_balance"],
    ),
    "a camera where there is no choice": (
        "suites.dmc.datasets.cartpole_balance",
        {"kind": "npz", "path": "videos", "camera": "front"},
        ["suites.dmc.datasets.cartpole_balance.camera", "kind npz", "leave it out"],
    ),
    "a layout that HDF5 has not": (
        "suites.dmc.datasets.cartpole_balance",
        {"kind": "hdf5", "path": "x.h5", "camera": {"frame": "images"}},
        ["suites.dmc.datasets.cartpole_balance.camera", "frame", "known are frames, episodes"],
    ),
    "a layout of no HDF5": (
        "suites.dmc.datasets.cartpole_balance",
        {"kind": "minari", "path": "x", "camera": {"frames": "images"}},
        ["suites.dmc.datasets.cartpole_balance.camera", "only kind hdf5"],
    ),
    "unknown importer": (
        "suites.dmc.datasets.cartpole_balance",
        {"kind": "npy", "path": "x"},
        ["suites.dmc.datasets.cartpole_balance.kind", "did you mean 'npz'"],
    ),
    "expert reads its own file": (
        "suites.dmc.datasets.cartpole_balance.path",
        "elsewhere.h5",
        ["data/episodes/dmc/expert/cartpole_balance.h5"],
    ),
    "unknown agent": ("suites.dmc.agents", ["drk"], ["no agent 'drk'", "did you mean 'drq'"]),
    "agent without a block": ("suites.dmc.drq", DELETE, ["'drq' needs a block"]),
    "unknown model": ("suites.dmc.video_models", ["videogtp"], ["did you mean 'videogpt'"]),
    "reward of no model": ("suites.dmc.reward.model", DELETE, ["suites.dmc.reward.model: missing; name one of"]),
    "reward of another model": ("suites.dmc.reward.model", "maskgit", ["suites.dmc.reward.model"]),
    "more kept than recorded": (
        "suites.dmc.curation.top_k",
        10_000,
        ["suites.dmc.curation.top_k", "lower it"],
    ),
    "all held out": (
        "suites.dmc.curation.held_out",
        46,
        ["suites.dmc.curation.held_out", "none to train on"],
    ),
    "window longer than an episode": (
        "suites.dmc.videogpt.window",
        300,
        ["suites.dmc.videogpt.window", "251"],
    ),
    "stride leaves too little": (
        "suites.dmc.curation.stride",
        100,
        ["suites.dmc.videogpt.window", "stride 100"],
    ),
    "heads do not divide": ("suites.dmc.videogpt.heads", 7, ["multiple of heads"]),
    "unknown method": (
        "suites.dmc.methods",
        ["vipr"],
        ["suites.dmc.methods: there is no reward", "did you mean 'viper'"],
    ),
    "unknown method of some tasks": ("suites.dmc.more_methods", {"anp": []}, ["more_methods", "did you mean 'amp'"]),
    "reward without its block": (
        "suites.dmc",
        lambda dmc: {**{k: v for k, v in dmc.items() if k != "amp"}, "methods": ["amp"]},
        ["suites.dmc.amp: method amp needs this block", "`amp: {}`"],
    ),
    "typo in a reward's block": ("suites.dmc.amp.windw", 3, ["suites.dmc.amp.windw", "did you mean 'window'"]),
    "typo in a bonus": ("suites.dmc.exploration.wieght", 3, ["exploration.wieght", "did you mean 'weight'"]),
    "unknown bonus": ("suites.dmc.exploration.kind", "rdn", ["exploration.kind", "did you mean 'rnd'"]),
    "ablation of a bonus that is not there": (
        "suites.dmc.exploration",
        {"kind": "none"},
        ["ablations.betas: exploration kind 'none' has no weight"],
    ),
    "typo for a key that is read twice": (
        "suites.dmc.tokenizer.block",
        1,
        ["suites.dmc.tokenizer.block", "did you mean 'blocks'"],
    ),
    "methods of no task": (
        "suites.dmc.more_methods",
        {"amp": ["cartpole"]},
        ["more_methods.amp: 'cartpole'", "did you mean"],
    ),
    "seeds of a method that nothing learns": (
        "suites.dmc.method_seeds",
        {"vipr": [0]},
        ["method_seeds.vipr", "'viper'"],
    ),
    "a method without a seed": ("suites.dmc.method_seeds", {"viper": []}, ["method_seeds.viper: []", "at least one"]),
    "a seed of a method twice": ("suites.dmc.method_seeds", {"viper": [1, 1]}, ["method_seeds.viper: [1, 1]", "once"]),
    "a method twice": ("suites.dmc.more_methods", {"viper": ["cartpole_balance"]}, ["more_methods.viper", "already"]),
    "no seeds": ("seeds", [], ["seeds"]),
    "a seed twice": ("seeds", [0, 1, 0], ["seeds: 0 is listed twice"]),
    "a seed beyond 32 bits": ("seeds", [2**32], ["seeds: 4294967296", "2^32 - 1"]),
    "a seed of a method beyond 32 bits": (
        "suites.dmc.method_seeds",
        {"viper": [2**32]},
        ["method_seeds.viper: 4294967296"],
    ),
    "a negative seed": ("seeds", [-1], ["seeds: -1"]),
    "the seed beyond 32 bits": ("seed", 2**40, ["seed: 1099511627776"]),
    "a model twice": ("suites.dmc.video_models", ["videogpt"] * 2, ["suites.dmc.video_models", "twice"]),
    "a method twice in a list": ("suites.dmc.methods", ["viper", "viper"], ["suites.dmc.methods: viper", "twice"]),
    "an ablation twice": ("ablations.betas", [0.5, 0.5], ["ablations.betas: 0.5", "twice"]),
    "frames that do not divide": ("suites.dmc.frames.size", 60, ["suites.dmc.frames.size", "take 56 or 64"]),
    "pixels that do not divide": ("suites.dmc.drq.pixels", 24, ["suites.dmc.drq.pixels: 24", "16 or 32 or 64"]),
    "a replay smaller than a sample": (
        "suites.dmc.runs.capacity",
        10,
        ["suites.dmc.runs.capacity: 10 frames", "4 environments", "write 32 or more"],
    ),
    "Dreamer's replay": ("suites.dmc", lambda dmc: with_dreamer(dmc, 60), ["suites.dmc.dreamer.runs.capacity", "72"]),
    "kernels larger than images": ("suites.dmc.amp.kernels", [40], ["suites.dmc.amp.kernels", "nothing is left"]),
    "a kernel too few": ("suites.dmc.drq.kernels", [4], ["suites.dmc.drq.kernels: 2 channels, 1 kernels"]),
    "a count as a float": ("suites.dmc.runs.steps", 2e4, ["suites.dmc.runs.steps: 20000.0", "write 20000"]),
    "a count in quotes": ("suites.dmc.drq.batch_size", "64", ["suites.dmc.drq.batch_size: '64'", "write 64"]),
    "a count that is true": ("suites.dmc.record.expert", True, ["suites.dmc.record.expert: True", "write 1"]),
    "a number for a name": ("suites.dmc.agents", [64], ["suites.dmc.agents.0", "string"]),
    "a number for a list": ("suites.dmc.video_models", 7, ["suites.dmc.video_models", "list"]),
    "nothing for a name": ("suites.dmc.video_models", [None], ["suites.dmc.video_models.0", "string"]),
    "a switch that is 1": ("suites.dmc.frames.shadows", 1, ["suites.dmc.frames.shadows: 1", "write true"]),
    "a float among channels": ("suites.dmc.amp.channels", [16.0], ["suites.dmc.amp.channels.0", "write 16"]),
    "a home folder": (
        "suites.dmc.datasets.cartpole_balance",
        {"kind": "npz", "path": "~/videos"},
        ["suites.dmc.datasets.cartpole_balance.path", "~ is not expanded"],
    ),
    "joint with repeat": (
        "suites.dmc.reward",
        {"model": "videogpt", "mode": "joint", "boundary": "repeat"},
        ["boundary"],
    ),
    "ablation of an unknown task": ("ablations.task", "cartpole_balanse", ["did you mean 'cartpole_balance'"]),
    "ablation by an unknown model": ("ablations.models", ["maskgid"], ["ablations", "did you mean 'maskgit'"]),
    "ablation without a block": ("ablations.maskgit", DELETE, ["'maskgit' needs a block", "ablations.maskgit"]),
    "ablation's misspelt setting": ("ablations.maskgit.pases", 3, ["ablations.maskgit.pases", "unknown key"]),
    "ablation that changes nothing": ("ablations.betas", [1.0], ["ablations.betas", "own run"]),
    "ablation of the own context": ("ablations.contexts", [3], ["ablations.contexts", "own"]),
    "ablation by the scoring it has": ("ablations.scorings", ["full_window"], ["ablations.scorings", "remove it"]),
    "ablation by no such scoring": ("ablations.scorings", ["rolling"], ["ablations.scorings", "kv_cache"]),
    "ablation of a scoring without its model": (
        "ablations.models",
        ["byol"],
        ["ablations.scorings", "'videogpt_streaming'", "add it"],
    ),
    "ablation by kv_cache of what repeats": ("suites.dmc.reward.boundary", "repeat", ["ablations.scorings", "growing"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_field_and_remedy(case):
    path, value, expected = WRONG[case]
    with pytest.raises(BadParams) as error:
        validate(put(read("params.yaml"), path, value), "my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml: ")
    for words in expected:
        assert words in message


def test_several_mistakes_are_said_together():
    params = put(put(read("params.yaml"), "sedes", 1), "suites.dmc.videogpt.width", -1)
    with pytest.raises(BadParams) as error:
        validate(params, "my.yaml")
    assert len(str(error.value).splitlines()) == 2


def test_the_projects_own_file_is_checked_against_this_machine(tmp_path, monkeypatch, capsys):
    import torch
    import yaml

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIPER_ROOT", raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    params = put(read("profiles/tiny.yaml"), "suites.dmc.datasets.cartpole_balance", {"kind": "video", "path": "films"})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(BadParams, match=r"datasets.cartpole_balance.path: films: there is no such"):
        check_command([])
    check_command(["params.yaml"])  # a file for any machine
    (tmp_path / "films").mkdir()
    check_command([])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(put(params, "runtime.compute.accelerator", "cuda")))
    with pytest.raises(BadParams, match=r"asks for 1 CUDA device\(s\).*accelerator: cpu"):
        check_command([])
    assert capsys.readouterr().out.count("It is sound") == 2


def test_one_typo_in_a_task_is_one_line():
    with pytest.raises(BadParams) as error:
        validate(put(read("params.yaml"), "suites.dmc.tasks", ["ball_in_cup_catch", "cartpole_balnce"]), "my.yaml")
    assert len(str(error.value).splitlines()) == 1 and "did you mean 'cartpole_balance'" in str(error.value)


def test_the_paper_profile_holds_the_papers_tables():
    dmc = read("profiles/paper.yaml")["suites"]["dmc"]
    tokenizer, gpt, drq, rnd = (dmc[k] for k in ("tokenizer", "videogpt", "drq", "exploration"))
    assert (tokenizer["channels"], tokenizer["multipliers"], tokenizer["blocks"]) == (128, [1, 1, 2, 2], 1)
    assert (tokenizer["quantizer"]["size"], tokenizer["quantizer"]["dim"]) == (1024, 64)
    assert (tokenizer["training"]["batch_size"], tokenizer["training"]["steps"]) == (128, 200_000)
    assert (gpt["window"], gpt["width"], gpt["feedforward"], gpt["heads"], gpt["layers"]) == (
        16,
        256,
        1024,
        8,
        8,
    )
    assert (gpt["training"]["batch_size"], gpt["training"]["steps"], gpt["dropout"]) == (32, 500_000, 0.0)
    assert (drq["hidden"], drq["channels"], drq["strides"]) == ([256, 256], [32, 64, 128, 256], [2, 2, 2, 2])
    assert (drq["learning_rate"], drq["gamma"], drq["critics"], drq["tau"]) == (3e-4, 0.99, 2, 0.005)
    assert (rnd["channels"], rnd["hidden"], rnd["learning_rate"], rnd["weight"]) == (
        [32, 64, 64],
        [512, 512],
        3e-4,
        1,
    )
    dreamers = [read("profiles/paper.yaml")["suites"][suite]["dreamer"] for suite in ("dmc", "atari")]
    assert [(d["deter"], d["hidden"], d["layers"]) for d in dreamers] == [(512, 512, 2), (4096, 1024, 4)]  # Table 3
    assert [DreamerConfig.model_validate(d).model_clip for d in dreamers] == [100, 100]
    assert dmc["record"]["expert"] == 1000 and dmc["curation"]["top_k"] == 50
    assert read("profiles/paper.yaml")["seeds"] == [0, 1, 2]


def test_an_agent_that_moves_actuators_is_refused_where_there_are_buttons():
    params = read("profiles/small.yaml")
    params = put(put(params, "suites.atari.agents", ["drq"]), "suites.atari.drq", params["suites"]["dmc"]["drq"])
    with pytest.raises(BadParams, match=r"suites.atari.agents: 'drq' needs continuous actions"):
        validate(params)
    params = put(put(read("profiles/small.yaml"), "suites.dmc.agents", ["dqn"]), "suites.dmc.dqn", {})
    with pytest.raises(BadParams, match=r"suites.dmc.agents: 'dqn' needs discrete actions.*take drq or dreamer"):
        validate(params)


def test_a_task_that_is_listed_twice_is_named_once():
    twice = put(read("profiles/tiny.yaml"), "suites.atari.tasks", ["freeway", "freeway", "boxing"])
    del twice["suites"]["atari"]["learned_tasks"]
    with pytest.raises(BadParams) as error:
        validate(twice, "my.yaml")
    assert str(error.value) == "my.yaml: suites.atari.tasks: a task is listed twice"


def test_simulators_that_want_a_process_each_get_one_or_are_refused():
    params = put(read("profiles/paper.yaml"), "suites.rlbench.runs.processes", False)
    with pytest.raises(BadParams, match=r"suites.rlbench.runs.processes: .* one simulator .* write true, or envs: 1"):
        validate(params)
    validate(put(params, "suites.rlbench.runs.envs", 1))


def test_the_paper_profile_trains_agents_on_the_six_tasks_of_fig_10():
    rlbench = read("profiles/paper.yaml")["suites"]["rlbench"]
    methods = ["viper", "task_reward", "task_reward_plain", "amp"]
    assert rlbench["methods"] == [] and list(rlbench["more_methods"]) == methods
    assert all(tasks == [f"panda_{task}" for task in PAPER] for tasks in rlbench["more_methods"].values())
    assert rlbench["runs"]["steps"] == 2_000_000 and rlbench["dreamer"]["deter"] == 4096


def test_rules_and_recipes_are_checked_by_suite():
    params = read("profiles/small.yaml")
    wrong = {
        "suites.dmc.env.sticky": (0.25, "suites.dmc.env.sticky: unknown key"),
        "suites.atari.env.sticky": (2.0, "suites.atari.env.sticky"),
        "suites.atari.env.game_over": ("kills", "suites.atari.env.game_over"),
        "suites.atari.env.max_frame": (99, "did you mean 'max_frames'"),
        "suites.atari.frames.sticky": (0.1, "suites.atari.frames.sticky: unknown key"),
        "suites.atari.experts.boxing": ({"algorithm": "scirpt"}, "did you mean 'script'"),
        "suites.atari.experts.pong": ({"algorithm": "script", "nois": 1}, "suites.atari.experts.pong.nois"),
        "suites.atari.experts.freeway": (
            {"algorithm": "sac", "steps": 5000},
            "those of this suite are discrete; use ppo or script or search",
        ),
        "suites.dmc.experts.cartpole_balance": (
            {"algorithm": "script"},
            "no scripts are written for this suite; use sac",
        ),
        "suites.dmc.experts.ball_in_cup_catch": ({"algorithm": "search"}, "needs discrete actions"),
    }
    for path, (value, expected) in wrong.items():
        with pytest.raises(BadParams) as error:
            validate(put(params, path, value), "my.yaml")
        assert expected in str(error.value)


def test_the_paper_profile_holds_the_papers_atari():
    atari = read("profiles/paper.yaml")["suites"]["atari"]
    tokenizer, gpt = atari["tokenizer"], atari["videogpt"]
    assert len(atari["tasks"]) == 8 and all(d["mask"] is True for d in atari["datasets"].values())
    assert 64 // 2 ** (len(tokenizer["multipliers"]) - 1) == 16
    assert (gpt["window"], gpt["width"], gpt["feedforward"], gpt["layers"]) == (16, 512, 2048, 8)
    assert (atari["record"]["expert"], atari["curation"]["top_k"]) == (1000, 100)


def test_a_library_that_a_kind_of_dataset_needs_is_missed_before_work(monkeypatch):
    wanted = put(read("params.yaml"), "suites.dmc.datasets.cartpole_balance", {"kind": "lerobot", "path": "pusht"})
    validate(wanted, "params.yaml")
    monkeypatch.setattr("viper_pipeline.data.importers.lerobot.find_spec", lambda name: None)
    with pytest.raises(BadParams, match=r"cartpole_balance\.kind: .*pip install 'viper-pipeline\[lerobot\]'"):
        validate(wanted, "params.yaml")


COMMANDS = ["dvc sync", "dvc check", "run --dry", "figures", "overview", "export-runs", "export-experts"]


@pytest.mark.parametrize("command", [*COMMANDS, "export-report dmc out", "import npz v --suite dmc --task x --out o"])
def test_every_command_that_builds_on_params_yaml_refuses_unsound_ones(command, tmp_path, monkeypatch):
    project(tmp_path, monkeypatch)
    with pytest.raises(BadParams, match=r"^params.yaml: suites.dmc.method_seeds: Input should be a valid dictionary$"):
        cli(command.split(), standalone_mode=False)


def test_kedro_refuses_unsound_parameters_without_a_traceback(tmp_path, monkeypatch):
    project(tmp_path, monkeypatch)
    with pytest.raises(click.ClickException, match=r"suites\.dmc\.method_seeds"):
        register_pipelines()


def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in `folder`, of this package, whose params.yaml has a mistake; the working directory from now on."""
    (folder / "params.yaml").write_text(
        yaml.safe_dump(put(read("profiles/tiny.yaml"), "suites.dmc.method_seeds", None))
    )
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for name in ("src", "conf"):
        (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
