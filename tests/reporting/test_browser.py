"""The pages in a real browser: everything is drawn, nothing is asked of the network, and they fit phones and desks."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.reporting.test_sentences import TASKS, metrics_of
from viper_pipeline.data.episode import png
from viper_pipeline.reporting.charts import LIBRARY, chart_library
from viper_pipeline.reporting.films import Film, episode_film
from viper_pipeline.reporting.overview import render_overview
from viper_pipeline.reporting.page import render_ablations, render_page
from viper_pipeline.reporting.plots import figure_files, panels_of, show_frames
from viper_pipeline.reporting.results import TaskKey

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SUITES = ("dmc", "tabletop")
PROBE = """<script>
const wrong = [], pause = ms => new Promise(done => setTimeout(done, ms));
addEventListener("error", e => wrong.push(e.message || `${e.target.tagName} ${e.target.src}`), true);
addEventListener("unhandledrejection", e => wrong.push(String(e.reason)));
addEventListener("load", async () => {
  await pause(1500);
  const root = document.documentElement;
  const seen = {width: innerWidth, scroll: root.scrollWidth, height: root.scrollHeight};
  document.querySelectorAll("details").forEach(one => one.open = true);
  document.querySelectorAll("img").forEach(one => one.loading = "eager");
  await pause(1500);
  seen.opened = root.scrollWidth;
  const shown = () => [...document.querySelectorAll(".plot")].map(plot => plot.querySelectorAll("svg path").length);
  const before = shown(), lists = [...document.querySelectorAll(".chart select")];
  for (const list of lists) {
    list.selectedIndex = list.options.length - 1;
    for (const kind of ["input", "change"]) list.dispatchEvent(new Event(kind, {bubbles: true}));
  }
  await pause(800);
  const sortable = [...document.querySelectorAll("main table")].filter(table => table.querySelector("th button"));
  const tables = sortable.map(table => {
    const rows = () => [...table.rows].slice(1).filter(row => !row.matches(".total"));
    const column = head => rows().map(row => row.cells[head.cellIndex]?.textContent.trim() ?? "");
    return [...table.rows[0].cells].map(head => {
      const button = head.querySelector("button"), original = column(head), orders = [];
      button.focus();
      const reached = document.activeElement === button;
      for (let i = 0; i < 3; i++) { button.click(); orders.push([head.getAttribute("aria-sort"), column(head)]); }
      const last = table.rows[table.rows.length - 1].className, count = what => table.querySelectorAll(what).length;
      const [marked, total] = ["[aria-sort]", ".total"].map(count);
      return {name: head.textContent, reached, original, orders, last, marked, total};
    });
  });
  const after = shown(), films = [...document.querySelectorAll(".films video")];
  const images = [...document.images], asked = performance.getEntriesByType("resource").map(e => e.name);
  parent.postMessage(JSON.stringify({...seen, name: NAME, wrong, images: images.length, asked,
    broken: images.filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80)),
    charts: document.querySelectorAll(".chart").length, drawn: document.querySelectorAll(".chart[data-drawn]").length,
    tables, lists: lists.length, changed: before.filter((n, i) => n !== after[i]).length, films: films.length,
    playable: document.createElement("video").canPlayType('video/mp4; codecs="avc1.64000A"') !== "",
    loaded: films.filter(film => film.readyState > 1 && film.videoWidth > 0).length,
    ground: getComputedStyle(document.body).backgroundColor,
    letters: getComputedStyle(document.querySelector(".chart svg text")).fill}), "*");
});
</script>"""
FRAME = """<!doctype html><meta charset="utf-8"><body>{frames}<script>
const told = []; addEventListener("message", e => {{ told.push(e.data); if (told.length === {count})
  document.body.innerText = "PROBE[" + told.join(",") + "]PROBE"; }});
</script></body>"""


def number(text):
    """What a cell begins with; None for words."""
    found = re.match(r"[\[(]?(-?[\d,]*\d(?:\.\d+)?)", text)
    return float(found[1].replace(",", "")) if found and ":" not in text else None


def check_sorting(tables, name):
    """Each header was clicked three times: one order, the other one, and the first again."""
    for column in [column for table in tables for column in table]:
        orders, place = column["orders"], f"{name}: {column['name']}"
        assert column["reached"] and column["marked"] == 0, place
        assert {orders[0][0], orders[1][0]} == {"ascending", "descending"} and orders[2][0] is None, place
        assert orders[2][1] == filled(column["original"]) or orders[2][1] == column["original"], place
        assert not column["total"] or column["last"].endswith("total"), place
        for direction, texts in orders[:2]:
            values, there = list(map(number, texts)), [text for text in texts if text]
            known = [value for value in values if value is not None]
            if any(":" in text for text in there):
                continue  # durations
            if 2 * len(known) > len(there):
                assert values[: len(known)] == sorted(known, reverse=direction == "descending"), place
            else:
                assert texts[: len(there)] == there, f"{place}: empty cells come last"


def filled(texts):
    """A blank cell says the same as the one above it."""
    return [next((above for above in texts[i::-1] if above), "") for i in range(len(texts))]


def browser():
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def curve_rows(suite):
    """Rows of curves.csv of three seeds on every task of the suite."""
    return [
        {"suite": suite, "task": task, "method": method, "agent": "drq", "seed": str(seed), "step": str(step),
         "return_mean": str(step * (seed + number + 1))}
        for task in TASKS[suite] for number, method in enumerate(("viper", "task_reward"))
        for seed in range(3) for step in (1000, 2000, 3000)
    ]  # fmt: skip


def lines_and_frames():
    figure, (left, right) = panels_of(2)
    left.plot([0, 1, 2], [0, 2, 1], label="a line")
    show_frames(right, np.random.default_rng(0).integers(0, 255, (16, 32, 3), dtype=np.uint8), "frames")
    return figure


ABLATIONS = {
    "task": "cartpole_balance",
    "mode": "conditional",
    "baselines": {"random": 280.0, "idle": 749.0, "expert": 995.0},
    "axes": {
        "beta": {
            value: {"own": value == "1", "final_return": level, "ci95_low": level - 20, "ci95_high": level + 20,
                    "seeds": 3, "per_seed": [level - 9, level, level + 9], "episodes": 9, "steps": 9, "auroc": None,
                    "spearman": None}
            for value, level in (("1", 800.0), ("0.5", 300.0))
        }
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A folder like reports/, with the pages of two suites, the ablations and the overview."""
    root = tmp_path_factory.mktemp("pages") / "reports"
    entry = {"name": "fig12", "title": "DMC", "state": "partial", "caption": "c.", "plots": "p", "remark": "",
             "files": ["fig12.pdf", "fig12.svg"], "missing": ["x: y"]}  # fmt: skip
    figures = figure_files("fig12", lines_and_frames()) | figure_files("ablations", lines_and_frames())
    figures["paper.json"] = json.dumps([entry]).encode()
    frames = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    pages, metrics = [*SUITES, "ablations"], {suite: metrics_of(suite, 3) for suite in SUITES}
    made = {"index.html": render_overview(metrics, pages), LIBRARY: chart_library() if browser() else ""}
    for suite, numbers in metrics.items():
        task = TASKS[suite][0]
        films = [Film(task, "viper", "viper.mp4", 9.0, 8, 8, "drq"), Film(task, "expert", "expert.mp4", None, 8, 8)]
        strips = {TaskKey(suite, task): png(frames[0])}
        quality = {suite: {task: {"held_out": {"psnr": 26.0, "foreground_l1": 27.0}}}}
        points = curve_rows(suite) if suite == "dmc" else []
        made[f"{suite}/index.html"] = render_page(
            suite, "laptop", numbers, figures, films, strips, {}, quality, points=points, pages=pages
        )
    made["ablations/index.html"] = render_ablations("laptop", ABLATIONS, figures, pages)
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for folder in pages:
        (root / folder / "figures").mkdir()
        (root / folder / "films").mkdir()
        for name in ("viper", "expert"):
            (root / folder / f"films/{name}.mp4").write_bytes(episode_film(frames))
        for name, content in figures.items():
            (root / folder / "figures" / name).write_bytes(content)
    return root


def test_every_link_and_picture_of_a_page_is_there(reports):
    absent = ("metrics.json", "curves.csv", "cards/README.md")  # other stages' outputs
    for page in [reports / "index.html", *(reports / name / "index.html" for name in (*SUITES, "ablations"))]:
        text = re.sub(r"<script type=.*?</script>", "", page.read_text(), flags=re.S)
        for link in re.findall(r"(?:src|href)=\"([^\"]*)\"", text):
            place, _, mark = link.partition("#")
            if link.startswith("data:") or link.endswith(absent):
                continue
            target = page.parent / place if place else page
            assert target.exists(), f"{page}: {link}"
            if mark:
                assert f'id="{mark}"' in target.read_text(), f"{page}: {link}"
        assert not re.search(r"https?:|url\(|@import", text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_every_page_and_asks_for_nothing(reports, tmp_path, scheme):
    if browser() is None:
        pytest.skip("no chromium is installed")
    shown = [("index.html", 400), ("dmc/index.html", 400), ("index.html", 1400), ("dmc/index.html", 1400)]
    shown += [("ablations/index.html", 400), ("tabletop/index.html", 1400)]
    frames = []
    for number, (page, width) in enumerate(shown):
        probed = (reports / page).with_name(f"probe_{number}.html")
        probe = PROBE.replace("NAME", json.dumps(f"{page} {width}"))
        probed.write_text((reports / page).read_text().replace("</title>", f"</title>{probe}", 1))
        address = html.escape(probed.as_uri())
        frames.append(f'<iframe width="{width}" height="3000" style="border: 0" src="{address}"></iframe>')
    (tmp_path / "frame.html").write_text(FRAME.format(frames="".join(frames), count=len(frames)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1500,1000", "--virtual-time-budget=30000"]
    options += ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    command = [browser(), *options, "--enable-logging=stderr", "--dump-dom", (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    found = re.search(r"PROBE(\[.*\])PROBE", done.stdout, re.S)
    assert found, done.stderr[-2000:]
    for seen in json.loads(html.unescape(found.group(1))):
        name = seen["name"]
        assert seen["wrong"] == [] and seen["broken"] == [], name
        assert all(asked.startswith(("data:", "blob:", reports.as_uri())) for asked in seen["asked"]), name
        assert seen["scroll"] <= seen["width"] and seen["opened"] <= seen["width"], f"{name} scrolls sideways"
        assert seen["drawn"] == seen["charts"] > 0 and seen["height"] <= 6000, name
        assert seen["changed"] >= min(seen["lists"], 1), f"{name}: choosing changes nothing"
        check_sorting(seen["tables"], name)
        assert len(seen["tables"]) >= (3 if name.startswith("dmc") else 1), name
        assert not seen["playable"] or seen["loaded"] == seen["films"], name
        assert (int(re.search(r"\d+", seen["ground"])[0]) < 60) == (scheme == "dark"), name
        assert (int(re.search(r"\d+", seen["letters"])[0]) > 120) == (scheme == "dark"), name
    assert "CONSOLE" not in done.stderr or "Uncaught" not in done.stderr
