"""An artifact knows where it comes from, wherever it lies."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner

from tests.dvc_bridge.toy import Toy
from viper_pipeline.commands import cli
from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import CHECKSUM_BYTES, md5_of, write_checksum
from viper_pipeline.data.hdf5 import read_lineage
from viper_pipeline.dvc_bridge.lineage import as_mermaid, trace
from viper_pipeline.dvc_bridge.provenance import read_steps

READERS = {".h5": read_lineage}
RUN = "data/runs/one/red/drq/0"
CHAIN = {
    RUN: "one.train_agent.red-drq-0",
    "data/models/one/gpt": "one.train_model.gpt",
    "data/oracles/one/red": "one.train_oracle.red",
    "data/clean/one/red.h5": "one.clean.red",
    "data/clean/one/blue.h5": "one.clean.blue",
    "data/raw/red.txt": "source",
    "data/raw/blue.txt": "source",
}


def by_path(toy: Toy, artifact: Path | str = RUN) -> dict[str, dict]:
    return {row["artifact"]: row for row in trace(toy.root / artifact, toy.root, READERS)["steps"]}


def test_the_chain_goes_back_to_the_sources_with_settings_and_hashes(built: Toy) -> None:
    rows = by_path(built)
    assert {path: row["stage"] for path, row in rows.items()} == CHAIN
    assert rows[RUN]["params"] == {"suites.one.drq": {"rate": 3}}
    assert rows["data/oracles/one/red"]["params"] == {"suites.one.oracles.red": {"skill": 1}}
    for path, row in rows.items():
        assert row["md5"] == md5_of(built.root / path)
        assert row["state"] == "up to date" and row["changed_params"] == []
    assert next(iter(rows)) == RUN  # nearest first


def test_every_parent_is_a_row_and_only_sources_have_none(built: Toy) -> None:
    rows = by_path(built)
    assert {parent for row in rows.values() for parent in row["parents"]} == set(rows) - {RUN}
    sources = {path for path, row in rows.items() if not row["parents"] and not row["params"]}
    assert sources == {"data/raw/red.txt", "data/raw/blue.txt"}


def test_what_changed_since_is_said(ready: Toy) -> None:
    (ready.root / "data/raw/blue.txt").write_text("other\n")
    (ready.root / "data/clean/one/red.h5").unlink()
    ready.set("suites.one.gpt.width", 3)
    rows = by_path(ready)
    states = {path: row["state"] for path, row in rows.items() if row["state"] != "up to date"}
    assert states == {"data/raw/blue.txt": "changed since", "data/clean/one/red.h5": "absent"}
    assert {p: row["changed_params"] for p, row in rows.items() if row["changed_params"]} == {
        "data/models/one/gpt": ["suites.one.gpt"]
    }


def test_a_stray_file_is_known_by_what_it_carries(built: Toy, tmp_path: Path) -> None:
    stray = tmp_path / "somewhere.h5"
    shutil.copy(built.root / "data/clean/one/red.h5", stray)
    for root in (built.root, tmp_path):  # inside of a project, and outside of any
        first, second = trace(stray, root, READERS)["steps"]
        assert first["recorded_as"] == "data/clean/one/red.h5" and first["stage"] == "one.clean.red"
        assert second["artifact"] == "data/raw/red.txt"
        assert second["md5"] == md5_of(built.root / "data/raw/red.txt")
        assert second["state"] == ("up to date" if root == built.root else "absent")


def test_what_carries_nothing_is_looked_up_in_the_lock_file(built: Toy) -> None:
    rows = by_path(built, "reports/scores.json")
    assert rows["reports/scores.json"]["stage"] == "report.collect.all"
    assert rows["reports/scores.json"]["params"]["report"] == {"digits": 3}
    assert set(rows) >= set(CHAIN)
    assert {row["state"] for row in rows.values()} == {"up to date"}


def test_the_forms_say_the_same(built: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.root)

    def shown(*options: str) -> str:
        result = CliRunner().invoke(cli, ["lineage", RUN, *options], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    traced = json.loads(shown("--json"))
    assert traced == trace(Path(RUN), built.root, READERS)
    text, chart = shown(), shown("--mermaid")
    for row in traced["steps"]:
        assert row["artifact"] in text and row["stage"] in text and row["md5"] in text
    assert chart == as_mermaid(traced)
    nodes = dict(re.findall(r'(n\d+)\["([^<]+)<br/>', chart))
    arrows = {(nodes[a], nodes[b]) for a, b in re.findall(r"(n\d+) --> (n\d+)", chart)}
    assert arrows == {(parent, row["artifact"]) for row in traced["steps"] for parent in row["parents"]}


def test_without_data_the_lock_files_say_it(built: Toy, tmp_path: Path) -> None:
    """As in a fresh clone."""
    clone = built.copy(tmp_path / "clone")
    shutil.rmtree(clone.root / "data")
    shutil.rmtree(clone.root / ".dvc/cache")
    rows, whole = by_path(clone), by_path(built)
    assert {path: row["state"] for path, row in rows.items()} == dict.fromkeys(CHAIN, "absent")
    for path, row in rows.items():
        assert {name: row[name] for name in ("stage", "parents", "md5", "code")} == {
            name: whole[path][name] for name in ("stage", "parents", "md5", "code")
        }
        assert row["params"].items() >= whole[path]["params"].items()  # and the lists that it runs over
    with pytest.raises(BadData, match=r"no lock file knows it \(did you mean 'data/clean/one/red.h5'"):
        trace(clone.root / "data/clean/one/rad.h5", clone.root, READERS)


def test_a_file_in_a_folder_that_a_stage_makes_is_known_by_the_folder(built: Toy) -> None:
    assert by_path(built, f"{RUN}/value.json") == by_path(built)


def test_the_chart_of_many_artifacts_fits_a_screen() -> None:
    """Fifteen tasks: one node for each kind of stage."""

    def row(path: str, stage: str, *parents: str) -> dict[str, object]:
        return {"artifact": path, "stage": stage, "parents": dict.fromkeys(parents, "")}

    tasks = [f"t{i}" for i in range(15)]
    steps = [row("data/model", "dmc.train_model.gpt", *(f"data/codes/{task}.h5" for task in tasks))]
    steps += [row(f"data/codes/{task}.h5", f"dmc.encode.{task}", f"films/{task}") for task in tasks]
    steps += [row(f"films/{task}", "source") for task in tasks]
    assert as_mermaid({"steps": steps}).splitlines() == [
        "flowchart TD",
        '  n0["data/model<br/>dmc.train_model.gpt"]',
        '  n1["data/codes/*.h5<br/>15 x dmc.encode"]',
        '  n2["films/*<br/>15 x source in films"]',
        "  n1 --> n0",
        "  n2 --> n1",
    ]


def test_no_such_file(built: Toy) -> None:
    with pytest.raises(BadData, match="no_such"):
        trace(built.root / "no_such", built.root, READERS)


def test_a_file_that_is_no_hdf5_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_text("no")
    with pytest.raises(BadData, match=r"x\.h5"):
        trace(tmp_path / "x.h5", tmp_path, READERS)


def test_a_damaged_episodes_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    stray = tmp_path / "x.h5"
    with h5py.File(stray, "w", userblock_size=CHECKSUM_BYTES) as file:
        file.attrs["lineage"] = json.dumps({"steps": {"data/a.h5": {"params": {}, "parents": {}}}})
    write_checksum(stray)
    assert list(read_steps(stray, READERS)) == ["data/a.h5"]
    whole = bytearray(stray.read_bytes())
    whole[CHECKSUM_BYTES + 40] ^= 1
    stray.write_bytes(whole)
    with pytest.raises(BadData, match=r"x\.h5: damaged"):
        read_steps(stray, READERS)
