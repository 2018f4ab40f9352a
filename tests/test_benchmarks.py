"""The benchmarks that take a device or a profile run at the tiny sizes, and measure what they say they measure."""

import ast
import importlib
import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType

import pytest

from viper_pipeline.pipelines.params_check import validate
from viper_pipeline.pipelines.profiles import read_profile
from viper_pipeline.tools.cost import work_of

ROOT = Path(__file__).parents[1]


def benchmark(name: str) -> ModuleType:
    """Import benchmarks/NAME.py, so that spawned processes can import it as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def gpu_record(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    arguments = ["--profile", "tiny", "--suites", "dmc", "--device", "cpu", "--seconds", "0.05", "--no-compile"]
    benchmark("gpu").main([*arguments, "--json", str(path)])
    return json.loads(path.read_text())


def test_every_part_of_a_profile_has_a_rate_in_every_precision(gpu_record: dict) -> None:
    suite = validate(read_profile(ROOT / "profiles/tiny.yaml")).suites["dmc"]
    both = {"32", "bf16"}
    expected = {"tokenizer training": both, "tokenizer encoding": {"32"}}
    for model in suite.video_models:
        expected |= {f"{model} training": both, f"{model} scoring": both}
    expected |= {f"{agent} updates": both for agent in suite.agents}
    found: dict[str, set[str]] = {}
    for row in gpu_record["rows"]:
        found.setdefault(row["part"], set()).add(row["precision"])
        assert "failed" not in row and row["per_s"] > 0 and row["tflops"] > 0, row
        assert row["busy"] is None and row["peak_gb"] is None  # of a GPU
    assert found == expected
    assert gpu_record["hardware"] and gpu_record["torch"]


def test_tokens_are_frames_times_codes_and_steps_are_whole_batches(gpu_record: dict) -> None:
    suite = validate(read_profile(ROOT / "profiles/tiny.yaml")).suites["dmc"]
    config = suite.components["videogpt"]
    h, w = suite.tokenizer.grid(suite.frames.size)
    for row in gpu_record["rows"]:
        if row["part"] == "videogpt training":
            assert row["batch"] == config.training.batch_size
            assert row["per_s"] == pytest.approx(row["steps_per_s"] * row["batch"] * config.window * h * w)
        if row["part"] == "tokenizer training":
            assert row["per_s"] == pytest.approx(row["steps_per_s"] * suite.tokenizer.training.batch_size)


def test_hours_of_a_profile_follow_from_the_rates(gpu_record: dict) -> None:
    works = {w.stage: w for w in work_of(validate(read_profile(ROOT / "profiles/tiny.yaml"))) if w.suite == "dmc"}
    rows = {row["stage"]: row for row in gpu_record["hours"]}
    assert set(rows) == set(works)
    assert all(row["hours"] is not None for row in rows.values())
    (rate,) = (
        r["samples_per_s"] for r in gpu_record["rows"] if (r["part"], r["precision"]) == ("tokenizer training", "32")
    )
    images = works["train_tokenizer"].units["image learned"]
    assert rows["train_tokenizer"]["hours"] == pytest.approx(images / rate / 3600)
    assert rows["train_tokenizer"]["fastest_hours"] <= rows["train_tokenizer"]["hours"]
    (units,) = gpu_record["units"]["tiny"].values()
    assert {f"dmc: {unit}" for work in works.values() for unit in work.units} <= set(units)


def test_what_no_time_is_left_for_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--profile", "tiny", "--suites", "dmc", "--device", "cpu", "--seconds", "0.01", "--minutes", "0"]
    record = benchmark("gpu").main(arguments)
    assert {row["failed"] for row in record["rows"]} == {"no time was left"}
    assert any(row["compile"] for row in record["rows"])
    assert {row["hours"] for row in record["hours"] if row["stage"] == "train_tokenizer"} == {None}
    assert "not timed" in capsys.readouterr().out


def test_programs_of_equal_sizes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rows = benchmark("peers").main(["--profiles", "tiny", "--algorithms", "drq", "--rounds", "2"])
    ours, plain = rows
    assert (ours["program"], plain["program"]) == ("viper", "plain")
    assert ours["times_viper"] == 1.0 and plain["times_viper"] > 0
    assert min(ours["ms"], plain["ms"]) > 0 and all(math.isfinite(row["highest"]) for row in rows)
    assert plain["weights"] == pytest.approx(ours["weights"], rel=0.02)


SCRIPTS = [p for folder in ("benchmarks", "examples", "docs") for p in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_script_imports_of_the_project_is_there(path: Path) -> None:
    """Most benchmarks take too long to be run as tests; a name that has moved is noticed all the same."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "viper_pipeline":
            module = importlib.import_module(node.module or "")
            missing = [a.name for a in node.names if not hasattr(module, a.name)]
            assert not [name for name in missing if not importlib.util.find_spec(f"{node.module}.{name}")]
