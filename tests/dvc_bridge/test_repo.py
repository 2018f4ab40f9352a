"""What the bridge uses of DVC beyond its documentation is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from viper_pipeline.dvc_bridge import repo
from viper_pipeline.dvc_bridge.repo import NEEDED, missing_in_dvc

BRIDGE = Path(repo.__file__).parent


def test_this_dvc_has_what_the_bridge_needs() -> None:
    import dvc

    missing = missing_in_dvc()
    assert not missing, (
        f"dvc {dvc.__version__} lacks {', '.join(missing)}: `viper run` cannot work with it; install the version in "
        "requirements.lock, or adapt src/viper_pipeline/dvc_bridge/repo.py"
    )


@pytest.mark.parametrize("lost", ["dvc.repo:Repo.lock", "dvc.stage:PipelineStage.save_deps", "dvc.no_such:Thing"])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    target, _, attribute = lost.rpartition(".") if "no_such" not in lost else (lost, "", "")
    monkeypatch.setattr(repo, "NEEDED", {**NEEDED, target: (f"{attribute}_renamed",) if attribute else ()})
    assert missing_in_dvc() == [f"{target}.{attribute}_renamed" if attribute else target]


def test_no_other_file_knows_dvcs_inside() -> None:
    users = {path.name for path in BRIDGE.glob("*.py") if "import dvc" in (t := path.read_text()) or "from dvc" in t}
    assert users == {"repo.py"}


def test_the_bridge_knows_nothing_of_this_project() -> None:
    """No name of an axis, a suite or a block of params.yaml; `viper` and `params.yaml` are its own."""
    words = ("suites", "video_models", "learned_tasks", "more_methods", "every_task", "ablations", "h5py")
    for path in BRIDGE.glob("*.py"):
        lines = path.read_text().splitlines()
        found = [line for line in lines for word in words if word in line and '"""' not in line and "#" not in line]
        assert not [line for line in found if "`" not in line], (path.name, found)
