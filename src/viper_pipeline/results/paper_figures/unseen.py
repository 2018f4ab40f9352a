"""A pair of arm and task that no model was trained on: what a model makes of it (Fig 7), and what a reward (Fig 8)."""

from __future__ import annotations

from dataclasses import dataclass

from viper_pipeline.results.evidence import Evidence
from viper_pipeline.results.figures import plot_along_video
from viper_pipeline.results.paper_figures.entry import Drawn, Part, run_source
from viper_pipeline.results.paper_figures.strips import continued, pictures
from viper_pipeline.results.style import axes, colour
from viper_pipeline.rewards.evaluate import unpack

WHY = "needs a suite with two arms, and a video model that held a pair of arm and task out"
PAPER = ("Sawyer, saucepan (trained)", "Panda, umbrella (trained)", "Panda, saucepan (held out)")


@dataclass(frozen=True)
class Unseen:
    """A model that held pairs out; two pairs of its training, and the first that was not in it."""

    suite: str
    model: str
    tasks: tuple[str, ...]

    @property
    def held_out(self) -> str:
        """The pair that was not."""
        return self.tasks[-1]


def unseen(evidence: Evidence) -> Unseen | None:
    """The first such model of the suite that plays RLBench's part; the pair of the same arm, or task, goes first."""
    for (suite, model), directory in evidence.video_models.items():
        if suite == evidence.manipulation and (out := directory.config.get("held_out_tasks")):
            trained = [task for task in evidence.settings[suite]["tasks"] if task not in out]
            alike = sorted(trained, key=lambda task: not set(task.split("_")) & set(out[0].split("_")))
            return Unseen(suite, model, (*alike[:2], out[0]))
    return None


def prediction_parts(evidence: Evidence) -> list[Part]:
    """Fig 7: two trained pairs, and the one held out."""
    found = unseen(evidence)
    if found is None:
        return [Part(name, 0, 1, WHY) for name in PAPER]
    source = (f"video_model__{found.suite}__{found.model}",)
    strips = pictures(evidence.video_models, "rollouts")
    return [
        Part(name, int((found.suite, found.model, task) in strips), 1, f"{task} in the place of {name}", source)
        for name, task in zip(PAPER, found.tasks, strict=False)
    ]


def draw_predictions(evidence: Evidence) -> Drawn:
    """Fig 7."""
    found = unseen(evidence)
    assert found
    strips = pictures(evidence.video_models, "rollouts")
    keys = [key for task in found.tasks if (key := (found.suite, found.model, task)) in strips]
    return continued(evidence, keys, {(found.suite, found.model, found.held_out): "never seen in training"})


def reward_parts(evidence: Evidence) -> list[Part]:
    """Fig 8: an agent on the held-out pair, and the likelihood of its videos."""
    names = "success of an agent on the held-out pair", "likelihood of its videos"
    found = unseen(evidence)
    if found is None:
        return [Part(name, 0, 1, WHY) for name in names]
    suite, task = found.suite, found.held_out
    runs = evidence.runs_of(suite, task, "viper")
    where = f"{suite}: {task} in the place of Panda's saucepan"
    key = (suite, found.model)
    sources = tuple(map(run_source, runs))
    return [
        Part(names[0], len(runs), 1, where if runs else f"no agent on {task}: method viper", sources),
        Part(names[1], int(key in evidence.rewards), 1, where, (f"reward__{suite}__{found.model}",)),
    ]


def draw_reward(evidence: Evidence) -> Drawn:
    """Fig 8: the agents' curves where there are any, and nats along videos: a trained pair beside the unseen one."""
    found = unseen(evidence)
    assert found
    runs = evidence.runs_of(found.suite, found.held_out, "viper")
    directory = evidence.rewards.get((found.suite, found.model))
    shown = (found.tasks[0], found.held_out) if directory else ()
    figure, panels = axes(len(shown) + bool(runs), 4.8, 2.8)
    for panel, task in zip(panels, shown, strict=False):
        assert directory
        plot_along_video(
            panel,
            f"{task}, {'never seen' if task == found.held_out else 'trained'}",
            unpack(task, directory.tensors)[0],
        )
    for run in runs:
        panels[-1].plot(run.steps, run.returns, color=colour("viper"), lw=1)
        panels[-1].set(xlabel="agent steps", ylabel="true return", title=f"viper on {found.held_out}")
    return Drawn(
        figure,
        f"Nats of held-out experts and of random behaviour along the video, n = the report's evaluation episodes; "
        f"agents on {found.held_out}: n = {len(runs)}.",
    )
