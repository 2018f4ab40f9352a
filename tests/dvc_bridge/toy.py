"""A whole small project: a package, pipelines, a catalog, parameters, and videos that are lines of text."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import yaml

PARAMS = """\
seeds:
- 0
suites:
  one:
    tasks:
    - red
    - blue
    datasets:
      red:
        path: data/raw/red.txt
      blue:
        path: data/raw/blue.txt
    oracles:
      red:
        skill: 1
      blue:
        skill: 2
    clean:
      keep: 10
    video_models:
    - gpt
    gpt:
      width: 2
    agents:
    - drq
    drq:
      rate: 3
report:
  digits: 3
"""

FILES = {
    "pyproject.toml": """\
        [tool.kedro]
        package_name = "PACKAGE"
        project_name = "toy"
        kedro_init_version = "1.7.0"
        source_dir = "src"
        """,
    ".telemetry": "consent: false\n",
    # Kedro imports pandas, if there is one, for every parameter that it hands over: a second a stage
    "without/pandas.py": "raise ImportError\n",
    ".dvcignore": "",
    ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n",
    "params.yaml": PARAMS,
    "data/raw/red.txt": "r1\nr2\nr3\n",
    "data/raw/red_other.txt": "r7\nr8\n",
    "data/raw/blue.txt": "b1\nb2\n",
    "conf/local/.gitkeep": "",
    "conf/base/catalog.yml": """\
        "{suite}/{task}/source":
          type: PACKAGE.datasets.Source
          filepath: source
        "{suite}/{task}/oracle":
          type: PACKAGE.datasets.Folder
          filepath: data/oracles/{suite}/{task}
        "{suite}/{task}/clean":
          type: PACKAGE.datasets.H5
          filepath: data/clean/{suite}/{task}.h5
          metadata: {dvc: {desc: "lines of {task}"}}
        "{suite}/{model}/model":
          type: PACKAGE.datasets.Folder
          filepath: data/models/{suite}/{model}
        "{suite}/{task}/{agent}/{seed}/run":
          type: PACKAGE.datasets.Folder
          filepath: data/runs/{suite}/{task}/{agent}/{seed}
        "{suite}/{task}/{agent}/{seed}/curve":
          type: PACKAGE.datasets.Text
          filepath: data/curves/{suite}/{task}/{agent}/{seed}.csv
          metadata: {dvc: {kind: plot, x: step, y: value, title: learning}}
        "{suite}/{name}/scratch":
          type: PACKAGE.datasets.Scratch
          metadata: {dvc: {kind: scratch}}
        scores:
          type: PACKAGE.datasets.Text
          filepath: reports/scores.json
          metadata: {dvc: {kind: metric, cache: false}}
        """,
    "src/PACKAGE/__init__.py": '"""A toy."""\n',
    "src/PACKAGE/settings.py": """\
        from viper_pipeline.hooks import ProjectHooks
        from viper_pipeline.settings import *

        from PACKAGE.tally import Tally

        HOOKS = (ProjectHooks(), Tally())
        """,
    "src/PACKAGE/tally.py": """\
        from kedro.framework.hooks import hook_impl


        class Tally:
            @hook_impl
            def after_node_run(self, node):
                with open("ran.txt", "a") as file:
                    file.write(node.name + "\\n")
        """,
    "src/PACKAGE/datasets.py": """\
        import json
        from pathlib import Path

        from kedro.io import AbstractDataset

        from viper_pipeline.core.files import atomic_dir, atomic_path, atomic_write


        class Base(AbstractDataset):
            def __init__(self, *, filepath="", metadata=None):
                self.path, self.metadata, self.provenance = Path(filepath), metadata, None

            def lineage(self):
                return json.dumps(self.provenance.lineage, sort_keys=True)

            def load(self):
                return self.path

            def save(self, data):
                raise TypeError

            def _describe(self):
                return {"path": str(self.path)}


        class Source(Base):
            pass


        class Scratch(Base):
            def load(self):
                return None


        class Text(Base):
            def load(self):
                return self.path.read_text()

            def save(self, data):
                atomic_write(self.path, data.encode())


        class Folder(Base):
            def load(self):
                return json.loads((self.path / "value.json").read_text())

            def save(self, data):
                with atomic_dir(self.path) as folder:
                    (folder / "value.json").write_text(json.dumps(data))
                    (folder / "lineage.json").write_text(self.lineage())


        class H5(Base):
            def load(self):
                import h5py

                with h5py.File(self.path) as file:
                    return json.loads(file.attrs["value"])

            def save(self, data):
                import h5py

                with atomic_path(self.path) as temporary, h5py.File(temporary, "w") as file:
                    file.attrs["value"], file.attrs["lineage"] = json.dumps(data), self.lineage()
        """,
    "src/PACKAGE/oracles.py": """\
        def train_oracle(settings, source=None, *, task="any"):
            return {"task": task, "skill": settings["skill"]}
        """,
    "src/PACKAGE/cleaning.py": """\
        from .text import lines


        def clean(source, settings):
            return lines(source)[: settings["keep"]]
        """,
    "src/PACKAGE/text.py": """\
        def lines(path):
            return path.read_text().split()
        """,
    "src/PACKAGE/training.py": """\
        import os

        from PACKAGE.plugged import MODELS


        def train_model(config, scratch, *, model, **sets):
            step = scratch / "step"
            start = int(step.read_text()) if step.exists() else 0
            for i in range(start, 3):
                step.write_text(str(i + 1))
                if i == 1 and os.environ.get("TOY_CRASH"):
                    os._exit(9)
            return {"made": MODELS.get(model)(config["width"]), "of": sorted(x for s in sets.values() for x in s)}
        """,
    "src/PACKAGE/acting.py": """\
        import os
        import time


        def train_agent(model, oracle, config, *, agent, seed):
            from PACKAGE.plugged import AGENTS

            time.sleep(config.get("sleep", 0) + float(os.environ.get("TOY_SLEEP", "0")))
            if config["rate"] < 0:
                raise ValueError("a negative rate")
            score = AGENTS.get(agent)(config["rate"]) * len(model["of"]) + oracle["skill"] + int(seed)
            return {"score": score}, f"step,value\\n0,{score}\\n"
        """,
    "src/PACKAGE/plugged/__init__.py": """\
        from viper_pipeline.core.registry import Registry

        MODELS = Registry("model", {"gpt": "PACKAGE.plugged.gpt:make", "git": "PACKAGE.plugged.git:make"})
        AGENTS = Registry("agent", {"drq": "PACKAGE.plugged.drq:act", "dreamer": "PACKAGE.plugged.dreamer:act"})
        """,
    "src/PACKAGE/plugged/gpt.py": "def make(width):\n    return width * 'g'\n",
    "src/PACKAGE/plugged/git.py": "def make(width):\n    return width * 'm'\n",
    "src/PACKAGE/plugged/drq.py": "def act(rate):\n    return rate\n",
    "src/PACKAGE/plugged/dreamer.py": "def act(rate):\n    return -rate\n",
    "src/PACKAGE/reporting.py": """\
        import json
        import time


        def collect(report, **runs):
            time.sleep(report.get("sleep", 0))
            return json.dumps({name: round(run["score"], report["digits"]) for name, run in sorted(runs.items())})
        """,
    "src/PACKAGE/pipeline_registry.py": """\
        import copy
        from functools import partial, update_wrapper

        from kedro.pipeline import Node, Pipeline

        from viper_pipeline.dvc_bridge.estimates import Cost
        from viper_pipeline.dvc_bridge.project import Lookup, Part, Project

        from PACKAGE.acting import train_agent
        from PACKAGE.cleaning import clean
        from PACKAGE.oracles import train_oracle
        from PACKAGE.reporting import collect
        from PACKAGE.training import train_model

        def stage(suite, name, item, function, inputs, outputs, **bound):
            function = update_wrapper(partial(function, **bound), function)
            return Node(function, inputs, outputs, name=item, namespace=f"{suite}.{name}")


        def suite_pipeline(suite, spec, seeds):
            p, nodes = f"params:suites.{suite}", []
            for task in spec["tasks"]:
                nodes.append(
                    stage(suite, "train_oracle", task, train_oracle, {"settings": f"{p}.oracles.{task}"},
                          f"{suite}/{task}/oracle", task=task)
                )
                nodes.append(
                    stage(suite, "clean", task, clean, {"source": f"{suite}/{task}/source", "settings": f"{p}.clean"},
                          f"{suite}/{task}/clean")
                )
                for agent in spec["agents"]:
                    for seed in seeds:
                        run = f"{suite}/{task}/{agent}/{seed}"
                        nodes.append(
                            stage(suite, "train_agent", f"{task}-{agent}-{seed}", train_agent,
                                  {"model": f"{suite}/gpt/model", "oracle": f"{suite}/{task}/oracle",
                                   "config": f"{p}.{agent}"},
                                  [f"{run}/run", f"{run}/curve"], agent=agent, seed=seed)
                        )
            for model in spec["video_models"]:
                sets = {f"clean__{task}": f"{suite}/{task}/clean" for task in spec["tasks"]}
                nodes.append(
                    stage(suite, "train_model", model, train_model,
                          {"config": f"{p}.{model}", "scratch": f"{suite}/train_model-{model}/scratch", **sets},
                          f"{suite}/{model}/model", model=model)
                )
            return Pipeline(nodes)


        def build(params):
            suites, seeds = params["suites"], params["seeds"]
            out = {name: suite_pipeline(name, spec, seeds) for name, spec in suites.items()}
            runs = {
                f"{suite}__{task}__{agent}__{seed}": f"{suite}/{task}/{agent}/{seed}/run"
                for suite, spec in suites.items()
                for task in spec["tasks"] for agent in spec["agents"] for seed in seeds
            }
            report = stage("report", "collect", "all", collect, {"report": "params:report", **runs}, "scores")
            return {**out, "report": Pipeline([report])}


        def sources(params):
            return {
                f"{suite}/{task}/source": dataset["path"]
                for suite, spec in params["suites"].items() for task, dataset in spec["datasets"].items()
            }


        def symbolic(params, symbol):
            out = copy.deepcopy(params)
            out["seeds"] = [symbol("all", "seed")]
            for name, block in out["suites"].items():
                task = symbol(name, "task")
                block["tasks"], block["datasets"] = [task], {task: {"path": symbol(name, "source")}}
                block["video_models"], block["agents"] = [symbol(name, "model")], [symbol(name, "agent")]
            return out


        def read(path):
            import h5py

            with h5py.File(path) as file:
                return file.attrs["lineage"]


        PROJECT = Project(
            build=build,
            symbolic=symbolic,
            sources=sources,
            axes={
                "task": "suites.{block}.tasks",
                "model": "suites.{block}.video_models",
                "agent": "suites.{block}.agents",
                "seed": "seeds",
            },
            lookups={"source": Lookup("task", "suites.{block}.datasets", "path")},
            at_root=("report",),
            default=lambda params: params.get("first", []),
            after_default=lambda root: ["and then"],
            committed_costs=lambda root: {"one.train_model.gpt": Cost(6000.0, "an abacus")},
            parts=(Part("PACKAGE.plugged:MODELS", value="{model}"), Part("PACKAGE.plugged:AGENTS", value="{agent}")),
            libraries=("h5py",),
            readers={".h5": read},
        )


        def register_pipelines():
            from viper_pipeline.dvc_bridge.project import project_root
            from viper_pipeline.dvc_bridge.run_stage import registered

            return registered(PROJECT, project_root())
        """,
}

STAGES = {
    "train_oracle": {"train_oracle@red", "train_oracle@blue"},
    "clean": {"clean@red", "clean@blue"},
    "train_model": {"train_model@gpt"},
    "train_agent": {"train_agent@red-drq-0", "train_agent@blue-drq-0"},
    "collect": {"collect"},
}


class Toy:
    """The project in one folder, and what one can do with it."""

    def __init__(self, root: Path, package: str = "toy") -> None:
        self.root, self.package = root, package

    @classmethod
    def make(cls, root: Path, package: str) -> Toy:
        """Write every file; `package` is unlike other toys' where it gets imported by the test process."""
        for name, text in FILES.items():
            path = root / name.replace("PACKAGE", package)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).replace("PACKAGE", package))
        return cls(root, package)

    def copy(self, root: Path) -> Toy:
        """The same in another folder, with cache, lock files and outputs."""
        shutil.copytree(self.root, root, symlinks=True)
        return Toy(root, self.package)

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """A command in the project, as a user would type it."""
        done = subprocess.run(self.words(command), cwd=self.root, env=self.env(env), capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str, **env: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        return subprocess.Popen(
            self.words(command),
            cwd=self.root,
            env=self.env(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def words(command: tuple[str, ...]) -> list[str]:
        modules = {"viper": "viper_pipeline", "dvc": "dvc", "kedro": "kedro"}
        return [sys.executable, "-m", modules[command[0]], *command[1:]]

    def env(self, more: dict[str, str]) -> dict[str, str]:
        """The process' own, with our Python first, as in an activated environment: dvc.yaml calls `python`."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        quiet = {
            "DVC_NO_ANALYTICS": "1",
            "KEDRO_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }
        without = os.pathsep.join(filter(None, [str(self.root / "without"), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PATH": path, "PYTHONPATH": without, **quiet, **more}

    def ran(self) -> list[str]:
        """Nodes that ran since this was last asked, in order."""
        tally = self.root / "ran.txt"
        names = tally.read_text().split() if tally.exists() else []
        tally.unlink(missing_ok=True)
        return names

    def stale(self) -> set[str]:
        """Stages that DVC would run if their parents stayed as they are. `code`, which always runs, has run before."""
        from dvc.repo import Repo

        from viper_pipeline.dvc_bridge.code_yaml import write_code

        write_code(self.root)

        with Repo(str(self.root)) as repo:
            return {name.rpartition(":")[2] for name in repo.status()} - {"code"}

    def hashes(self) -> dict[str, str]:
        """Every output and report file -> its md5."""
        from viper_pipeline.core.files import md5_file

        files = [p for top in ("data", "reports") for p in (self.root / top).rglob("*") if p.is_file()]
        return {p.relative_to(self.root).as_posix(): md5_file(p) for p in sorted(files) if p.name != ".gitignore"}

    def set(self, dotted: str, value: object) -> None:
        """Change one parameter."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        *way, last = dotted.split(".")
        block = params
        for key in way:
            block = block[key]
        block[last] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the package."""
        path = self.root / "src" / self.package / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
