"""Names of inputs, and the typed table that they become."""

from viper_pipeline.pipelines.wiring import argument, arguments, by_key, run_table
from viper_pipeline.reporting.results import ModelKey, Row, RunKey, StageName, TaskKey

ROWS = {
    Row("agents", RunKey("dmc", "cartpole_balance", "viper", "drq", 3)): "a run",
    Row("experts", TaskKey("dmc", "cartpole_balance")): "videos",
    Row("rewards", ModelKey("dmc", "videogpt")): "a reward",
    Row("tokenizers", "dmc"): "a tokenizer",
    Row("settings", "dmc"): {"tasks": ["cartpole_balance"]},
}


def test_a_table_survives_the_way_through_kedros_names():
    inputs = arguments(ROWS)
    assert inputs["agents__dmc__cartpole_balance__viper__drq__3"] == "a run" and all(map(str.isidentifier, inputs))
    table = run_table(inputs | {"profile": "tiny"})
    assert {Row("agents", key): value for key, value in table.agents.items()} == {
        row: value for row, value in ROWS.items() if row.kind == "agents"
    }
    assert table.tokenizers == {"dmc": "a tokenizer"} and table.settings["dmc"]["tasks"] == ["cartpole_balance"]
    assert table.rewards[ModelKey("dmc", "videogpt")] == "a reward" and not table.video_models


def test_kinds_whose_names_begin_alike_are_told_apart():
    inputs = {argument("codes", "a"): 1, argument("codes_of_others", "a"): 2, "codes": 3}
    assert by_key("codes", {name: value for name, value in inputs.items() if name != "codes"}) == {("a",): 1}


def test_items_of_stages_may_have_dots():
    assert StageName.parse("ablations.train_agent_beta.0.5-0") == ("ablations", "train_agent_beta", "0.5-0")
    assert StageName.parse("dmc.train_tokenizer.all").title == "dmc.train_tokenizer"
    assert StageName.parse("alone").title == "alone"
