"""A suite's report of one profile, kept in reports/ beside those of another: `viper export-report`.

A project has the results of one profile, those of params.yaml. What a longer profile has found, in another checkout,
stands beside them as a folder of its own, which no stage writes: pages, numbers, figures and cards, and `hashes.json`,
the hashes of everything that they were made from. `other_reports` of params.yaml names such folders.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from viper_pipeline.core.errors import BadData
from viper_pipeline.core.files import JsonView, atomic_dir
from viper_pipeline.dvc_bridge.lineage import locked_hashes
from viper_pipeline.reporting.page import environment
from viper_pipeline.training.artifacts import as_json

HASHES = "hashes.json"
LEFT_OUT = ("headline.json",)
"""What `dvc metrics` reads of the project's own results."""
PICTURED = ("index.html", "figures", "films", "cards")
NAVIGATION = re.compile(r"<nav class=\"bar\".*?</nav>", re.DOTALL)


def export_report(root: Path, suite: str, profile: str, stale: JsonView, out: Path, only_numbers: bool = False) -> str:
    """Copy reports/<suite> of the project at `root` to the folder `out`; return one line about it.

    profile: what the report's parameters are called. stale: path -> why, of outputs that are not up to date.
    only_numbers: without page, figures, films and cards, which are most of its size.
    Replaces an earlier export. Raises BadData without a whole, up-to-date report, or if `out` is anything else.
    """
    source, out = root / "reports" / suite, Path(out)
    own = [f"reports/{suite}/{name}" for name in ("metrics.json", "index.html", "figures", "cards")]
    for path in own:
        if not (root / path).exists():
            raise BadData(f"{path}: missing; `viper run pipelines/{suite}/dvc.yaml` makes it")
        if path in stale:
            raise BadData(f"{path}: not up to date ({stale[path]}); `viper run pipelines/{suite}/dvc.yaml`")
    if out.exists() and not (out / HASHES).is_file():
        raise BadData(f"{out}: exists, and is no report of `viper export-report`; name a new folder")
    metrics = json.loads((source / "metrics.json").read_text())
    with atomic_dir(out) as folder:
        left_out = (*LEFT_OUT, *(PICTURED if only_numbers else ()))
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left_out))
        (folder / "metrics.json").write_text(as_json({"profile": profile, "suite": suite} | metrics))
        own_hashes = {path: md5 for path, md5 in locked_hashes(root).items() if suite in Path(path).parts}
        (folder / HASHES).write_text(as_json(own_hashes))
        if not only_numbers:
            page = folder / "index.html"
            page.write_text(NAVIGATION.sub(lambda _: navigation(out.name), page.read_text(), count=1))
    return f"{out}: {'numbers of ' if only_numbers else ''}the report of {suite} by profile {profile}"


def navigation(name: str) -> str:
    """The bar of links of a page that only knows the overview and itself."""
    template = environment().get_template("base.html.jinja")
    page = template.render(root="../", here=name, pages=[name])
    found = NAVIGATION.search(page)
    assert found, "base.html.jinja has no bar of links"
    return found[0]
