"""After one change of a parameter, an input or an expression, exactly the stages are stale that this table predicts.

Run: python benchmarks/reliability/one_change.py [COUNT]. A clone of this checkout at profile tiny gets a stand-in, a
file or folder of one line, for everything that a stage makes, and DVC records that as made: nothing is trained. Each
change of the table is made alone, and undone. What DVC then names are the stages whose own parameters, inputs or code
are others; what reads from them would follow. Only the table says what is expected. Prints one line for each kind of
change; COUNT of each kind are tried.
"""

from __future__ import annotations

import ast
import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from tiny_project import clone

from viper_pipeline.dvc_bridge.code_yaml import write_code

SRC = "src/viper_pipeline"
AGENTS = ("dmc.train_agent_*", "ablations.train_agent_*")


def reports(suite: str) -> tuple[str, ...]:
    """The stages that show, and so read, all parameters of a suite."""
    return tuple(f"{suite}.{stage}" for stage in ("aggregate", "draw_figures", "write_report"))


DMC, ATARI, TABLETOP = reports("dmc"), reports("atari"), reports("tabletop")


@dataclass(frozen=True)
class Change:
    """What is changed, and the stages that are stale then: `pipeline.stage`, with wildcards."""

    where: str
    stale: tuple[str, ...] = ()
    to: object = None  # of a parameter: its new value


PARAMETERS = [
    Change("suites.dmc.experts.cartpole_balance.steps", ("dmc.train_expert", *DMC), 301),
    Change("suites.dmc.record.noisy", ("dmc.record_episodes", *DMC), 3),
    Change("suites.dmc.baselines.idle", ("dmc.record_baselines", *DMC), 3),
    Change("suites.dmc.curation.top_k", ("dmc.curate_experts", *DMC), 4),
    Change("suites.dmc.tokenizer.training.steps", ("dmc.train_tokenizer", *DMC), 21),
    Change(
        "suites.dmc.videogpt.layers",
        ("dmc.train_video_model", "ablations.train_video_model_context", "ablations.report", *DMC),
        2,
    ),
    Change("suites.dmc.reward_evaluation.episodes", ("dmc.evaluate_reward", "ablations.evaluate_reward_*", *DMC), 2),
    Change("suites.dmc.runs.eval_episodes", (*AGENTS, *DMC), 3),
    Change("suites.dmc.drq.pixels", (*AGENTS, *DMC), 48),
    Change("suites.dmc.amp.batch_size", ("dmc.train_agent_amp*", *DMC), 17),
    Change("suites.atari.maskgit.width", ("atari.train_video_model", *ATARI), 32),
    Change("suites.tabletop.curation.stride", ("tabletop.curate_experts", *TABLETOP), 3),
    Change("ablations.byol.horizon", ("ablations.train_video_model_model",), 1),
    Change("runtime.workers", (), 2),
]
INPUTS = [
    Change("data/expert_policies/dmc/cartpole_balance", ("dmc.train_expert", "dmc.record_episodes")),
    Change("data/episodes/dmc/expert/cartpole_balance.h5", ("dmc.record_episodes", "dmc.curate_experts")),
    Change("data/codes/atari/freeway.h5", ("atari.encode_experts", "atari.train_video_model", "atari.evaluate_reward")),
]
CODE = [
    Change("experts/sb3.py:RLExpert.train", ("dmc.train_expert", "dmc.record_episodes")),
    Change("data/curation.py:choose_episodes", ("*.curate_experts",)),
    Change(  # the model knows tasks by their labels; one script expert holds the scripts of all suites
        "envs/tabletop/suite.py:Tabletop.tasks",
        (
            *(f"tabletop.{stage}" for stage in ("record_*", "train_expert", "curate_experts", "train_video_model")),
            *("atari.train_expert", "atari.record_episodes"),
        ),
    ),
    Change("agents/drq.py:DrQ.update", AGENTS),
    Change("agents/dreamer/agent.py:Dreamer.update", ()),
    Change("video_models/maskgit.py:MaskGIT.loss", ("atari.train_video_model", "atari.evaluate_reward")),
    Change("rewards/amp.py:AMP.begin", ("dmc.train_agent_amp*",)),
    Change("agents/replay.py:Replay.add", AGENTS),
    Change("data/importers/lerobot.py:_film", ()),
    Change("tools/cost.py:work_of", ()),
]


class StandIns:
    """A project of which everything was made, as far as DVC can know."""

    def __init__(self, root: Path, source: str = SRC) -> None:
        """root: a fresh project, of which nothing has been run; this process is in it. source: folder of its code."""
        from dvc.repo import Repo

        self.root, self.source = root, root / source
        logging.getLogger("dvc").setLevel(logging.ERROR)
        with Repo(str(self.root)) as repo:
            made = [Path(out.fs_path) for out in repo.index.outs]
            read = [Path(dep.fs_path) for stage in repo.index.stages for dep in stage.deps]
            for path in dict.fromkeys((*made, *read)):
                if not path.exists():
                    file = path if path.suffix else path / "stand_in.txt"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(f"{file.relative_to(self.root)}\n")
            write_code(self.root)
            repo.commit(force=True)
            self.stages = {self._name(stage.addressing) for stage in repo.index.stages} - {"root.code"}

    @staticmethod
    def _name(address: str) -> str:
        """`dmc.train_tokenizer` of `pipelines/dmc/dvc.yaml:train_tokenizer@x`."""
        file, _, stage = address.rpartition(":")
        group = Path(file).parent.name if "/" in file else "root"
        return f"{group}.{stage.partition('@')[0]}"

    def stale(self) -> set[str]:
        """The stages whose own parameters, inputs, outputs or code are not those that DVC has recorded."""
        from dvc.repo import Repo

        write_code(self.root)
        with Repo(str(self.root)) as repo:
            return {self._name(address) for address in repo.status()} - {"root.code"}

    @contextmanager
    def changed(self, file: Path, change: Callable[[str], str]) -> Iterator[None]:
        """A file with other text, for a while."""
        text = file.read_text()
        new = change(text)
        assert new != text, f"{file} is as it was"
        file.write_text(new)
        try:
            yield
        finally:
            file.write_text(text)

    def parameter(self, change: Change) -> set[str]:
        """What is stale after a parameter has another value."""

        def other(text: str) -> str:
            values = yaml.safe_load(text)
            *way, last = change.where.split(".")
            block = values
            for key in way:
                block = block[key]
            block[last] = change.to
            return yaml.safe_dump(values, sort_keys=False)

        with self.changed(self.root / "params.yaml", other):
            return self.stale()

    def input(self, change: Change) -> set[str]:
        """What is stale after a file has another line."""
        path = self.root / change.where
        with self.changed(path if path.is_file() else path / "stand_in.txt", lambda text: text + "another\n"):
            return self.stale()

    def expression(self, change: Change) -> set[str]:
        """What is stale after a function does something more; a comment before it makes nothing stale."""
        name, _, function = change.where.partition(":")
        file = self.source / name
        with self.changed(file, lambda text: "# a comment\n" + text):
            said = {f"{stage} (of a comment)" for stage in self.stale()}
        with self.changed(file, lambda text: with_statement(text, function)):
            return said | self.stale()


def with_statement(text: str, function: str) -> str:
    """A module's text with one more statement in a function, `name` or `Class.name`."""
    node: ast.AST = ast.parse(text)
    for name in function.split("."):
        node = next(n for n in ast.walk(node) if getattr(n, "name", None) == name)
    assert isinstance(node, ast.FunctionDef)
    first = node.body[1] if isinstance(node.body[0], ast.Expr) and len(node.body) > 1 else node.body[0]
    lines = text.splitlines(keepends=True)
    lines.insert(first.lineno - 1, " " * first.col_offset + "one_more = 1 + 1\n")
    return "".join(lines)


def difference(found: set[str], predicted: Collection[str], stages: Collection[str]) -> str:
    """In words, how what is stale differs from the prediction; empty if it does not."""
    expected = {stage for stage in stages for pattern in predicted if fnmatchcase(stage, pattern)}
    nobody = [pattern for pattern in predicted if not any(fnmatchcase(stage, pattern) for stage in stages)]
    words = [("stale though not predicted", found - expected), ("predicted and fresh", expected - found)]
    return "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in (*words, ("no stage", nobody)) if names)


def main(count: int) -> list[str]:
    """The lines. Raises AssertionError if something is stale at the beginning."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(clone(Path(place) / "project").root):
        project = StandIns(Path.cwd())
        assert not project.stale(), f"stale at first: {project.stale()}"
        lines = []
        for kind, changes, apply in (
            ("one parameter", PARAMETERS, project.parameter),
            ("one input", INPUTS, project.input),
            ("one expression", CODE, project.expression),
        ):
            tried = changes[:count]
            wrong = [(c.where, words) for c in tried if (words := difference(apply(c), c.stale, project.stages))]
            for where, words in wrong:
                print(f"{where}: {words}", file=sys.stderr)
            others = f"{len(wrong)} otherwise ({', '.join(where for where, _ in wrong)})" if wrong else "0 otherwise"
            right = len(tried) - len(wrong)
            lines.append(f"one change, {kind}: {len(tried)} tried, {right} made stale what was predicted, {others}")
        return lines


if __name__ == "__main__":
    print("\n".join(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
