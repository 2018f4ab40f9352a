"""The `viper` command. Everything heavy is imported inside commands, so that `viper --help` answers at once.

Not called cli.py: Kedro would take a module of that name for its own commands, and `kedro run` for `viper run`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from viper_pipeline import __version__

SECTIONS = {
    "Rewards, with or without a project": {
        "score": "how likely each frame of some videos is",
        "train-reward": "train a reward on two folders of videos",
        "pull": "fetch a reward or a dataset from the Hugging Face Hub",
        "push": "send one there, with its card",
        "import-checkpoint": "take over a checkpoint of VIPER's authors",
    },
    "Run the pipelines": {
        "doctor": "what this machine has and lacks",
        "run": "run what is stale, several stages at a time",
        "params": "`params check` finds mistakes in params.yaml",
        "profile": "list the profiles, or switch to one",
        "cost": "hours, memory and disk that a profile takes",
        "dvc": "`dvc sync` writes the dvc.yaml files",
        "stage": "run one node; this is what DVC calls",
    },
    "Look at results": {
        "overview": "write reports/index.html, the page over all suites",
        "figures": "how much of each figure and table of the paper is here",
        "lineage": "what an artifact was made from, and how",
        "card": "what a dataset or a model is, and how good",
        "showcase": "a video of experts, agents and random actions",
    },
    "Datasets and exports": {
        "import": "convert videos or a dataset of others",
        "check": "verify a dataset of this project",
        "export": "write a dataset for other programs",
        "export-reward": "a reward as one folder that needs no project",
        "export-report": "a suite's report, beside those of another project",
        "export-runs": "results of runs without weights, for Git",
        "export-experts": "trained experts, for Git and other projects",
    },
    "One training in a debugger, without Kedro and DVC": {
        "train-agent": "one agent",
        "train-tokenizer": "a suite's tokenizer",
        "train-video-model": "one video model",
    },
}
"""What `viper --help` lists: every command, by what it is for."""


class Sections(click.Group):
    """A group whose help lists its commands by SECTIONS."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists, their texts in one column."""
        width = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])


@click.group(cls=Sections, epilog="`viper COMMAND --help` explains a command. The first time, run `make repro`.")
@click.version_option(__version__)
def cli() -> None:
    """Videos of experts become a reward function, the reward function becomes agents."""


@cli.group()
def dvc() -> None:
    """Keep the dvc.yaml files and the pipelines the same."""


@click.group(name="viper")
def kedro_commands() -> None:
    """Kedro's own commands of this project: `kedro dvc ...` is the same as `viper dvc ...`."""


kedro_commands.add_command(dvc)


@dvc.command("sync")
def dvc_sync_command() -> None:
    """Write the dvc.yaml files."""
    from viper_pipeline.dvc_bridge.dvc_yaml import write_files
    from viper_pipeline.dvc_bridge.project import project_root

    for line in write_files(project_root()) or ["nothing to write: the files are as the pipelines say"]:
        click.echo(line)


@dvc.command("check")
def dvc_check_command() -> None:
    """Fail if a dvc.yaml differs from the pipelines."""
    from viper_pipeline.dvc_bridge.dvc_yaml import check_files
    from viper_pipeline.dvc_bridge.project import project_root

    if text := check_files(project_root()):
        click.echo(text, nl=False)
        click.echo("run `viper dvc sync`", err=True)
        sys.exit(1)


@dvc.command("code")
def code_command() -> None:
    """Write code.yaml: a digest of the code of each stage (the command that DVC runs first)."""
    from viper_pipeline.dvc_bridge.code_yaml import write_code
    from viper_pipeline.dvc_bridge.project import project_root

    write_code(project_root())


@cli.group()
def params() -> None:
    """The parameters."""


@params.command(name="check")
@click.argument("files", nargs=-1, type=click.Path())
def params_check(files: tuple[str, ...]) -> None:
    """Say what is wrong with params.yaml, or with FILES, before any work."""
    from viper_pipeline.pipelines.params_check import check_command

    check_command(list(files))


PATH = click.Path(path_type=Path)
STDOUT = Path("-")
OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
INTO = click.option("--out", type=click.Path(path_type=Path), help="Folder of the result. Default: in .viper.")


@cli.command(name="train-agent")
@click.option("--suite", required=True)
@click.option("--task", required=True)
@click.option("--method", default="viper", show_default=True, help="One of the suite's methods.")
@click.option("--agent", help="One of the suite's agents. Default: the first.")
@click.option("--seed", type=int, help="One of the seeds. Default: the first.")
@INTO
@OVERRIDES
def train_agent_command(
    suite: str, task: str, method: str, agent: str | None, seed: int | None, out: Path | None, overrides: tuple[str]
) -> None:
    """Train one agent in this process, without Kedro and DVC: for a debugger."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.single_run import first_of, run_single

    root = project_root()
    agent = agent or first_of(root, f"suites.{suite}.agents")
    seed = first_of(root, "seeds") if seed is None else seed
    click.echo(run_single(root, suite, f"train_agent_{method}", f"{task}-{agent}-{seed}", overrides, out))


@cli.command(name="train-tokenizer")
@click.option("--suite", required=True)
@INTO
@OVERRIDES
def train_tokenizer_command(suite: str, out: Path | None, overrides: tuple[str]) -> None:
    """Train a suite's tokenizer in this process, without Kedro and DVC: for a debugger."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.single_run import run_single

    click.echo(run_single(project_root(), suite, "train_tokenizer", "all", overrides, out))


@cli.command(name="train-video-model")
@click.option("--suite", required=True)
@click.option("--model", default="videogpt", show_default=True, help="One of the suite's video models.")
@INTO
@OVERRIDES
def train_video_model_command(suite: str, model: str, out: Path | None, overrides: tuple[str]) -> None:
    """Train one video model in this process, without Kedro and DVC: for a debugger."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.single_run import run_single

    click.echo(run_single(project_root(), suite, "train_video_model", model, overrides, out))


@cli.command(name="train-reward")
@click.argument("experts", type=PATH)
@click.argument("baselines", type=PATH)
@click.argument("out", type=PATH)
@click.option("--task", default="task", show_default=True, help="Name of the task in the result.")
@click.option("--size", type=click.IntRange(1), default=64, show_default=True, help="Pixels of the models' frames.")
@click.option("--held-out", type=int, default=2, show_default=True, help="Expert videos kept for the evaluation.")
@click.option("--steps", type=int, help="Of both trainings together. Default: 2600.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads", type=int, default=1, show_default=True, help="Of the CPU; more than one helps on idle cores alone."
)
@click.option("--camera", help="Datasets of LeRobot and Minari: which of several cameras.")
@click.option("--instruction", help="Datasets of LeRobot: only episodes of this task, in its own words.")
@OVERRIDES
def train_reward_command(experts: Path, baselines: Path, out: Path, overrides: tuple[str, ...], **options: Any) -> None:
    """Train a reward on videos of EXPERTS and of BASELINES, such as random actions; it goes to the new folder OUT.

    EXPERTS and BASELINES are folders of videos (.mp4, .gif, .npz) or datasets of LeRobot or Minari. No project is
    needed. After a kill, the same command goes on where it stopped. KEY=VALUE changes the models, such as
    video_model.window=8 or tokenizer.training.batch_size=32; the blocks are those of params.yaml.
    """
    from viper_pipeline.core.errors import BadParams
    from viper_pipeline.pipelines.train_reward import TOKENIZER, VIDEO_MODEL, train_reward
    from viper_pipeline.tools.single_run import overridden

    blocks = {"tokenizer": TOKENIZER, "video_model": VIDEO_MODEL}
    for text in overrides:
        if text.partition("=")[0].partition(".")[0] not in blocks:
            raise BadParams(f"{text}: can only change tokenizer. or video_model., such as video_model.window=8")
    model = train_reward(experts, baselines, out, **options, **overridden(blocks, "own", overrides))
    click.echo(f"{out}: a reward of {', '.join(model.tasks)}; how good it is stands in {out / 'README.md'}")


@cli.command()
@click.argument("name", required=False)
@click.option("--force", is_flag=True, help="Also if params.yaml has edits, which are lost.")
def profile(name: str | None, force: bool) -> None:
    """Write params.yaml for the profile NAME and say what changed; without NAME, list the profiles."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.profiles import names, read_profile, write_params

    root = project_root()
    if name is None:
        current = read_profile(root / "params.yaml").get("profile")
        for known in names(root):
            click.echo(f"{known} *" if known == current else known)
        return
    for line in write_params(root, name, force):
        click.echo(line)
    click.echo("params.yaml written; now `viper dvc sync`")


@cli.command("stage")
@click.argument("pipeline")
@click.argument("nodes", metavar="NODE[,NODE]")
def stage_command(pipeline: str, nodes: str) -> None:
    """Run a node of a pipeline (the command that DVC runs)."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.dvc_bridge.run_stage import run_stage

    run_stage(project_root(), pipeline, nodes.split(","))


def from_root(target: str, root: Path) -> str:
    """A target as seen from the project's root: as for DVC, files are named from the folder that we are in."""
    file, colon, stage = target.partition(":")
    if file and (here := Path(file).absolute()).is_file() and here.is_relative_to(root):
        return f"{here.relative_to(root).as_posix()}{colon}{stage}"
    return target


@cli.command("run")
@click.argument("targets", nargs=-1)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    help="Stages side by side. Default: cores, here or of the Ray cluster; 100 jobs of SLURM.",
)
@click.option("--all", "everything", is_flag=True, help="Every suite and the ablations.")
@click.option("--dry", is_flag=True, help="Say what would run and for about how long, and start nothing.")
@click.option("--executor", type=click.Choice(["local", "ray", "slurm"]), default="local", help="Where stages run.")
@click.option("--address", help="Ray: the cluster. SLURM: submitit's executor; `local` does without SLURM.")
def run_command(
    targets: tuple[str, ...], jobs: int | None, everything: bool, dry: bool, executor: str, address: str | None
) -> None:
    """Run stale stages side by side, with the same result as `dvc repro`.

    TARGETS are DVC's: a dvc.yaml, or a stage such as pipelines/dmc/dvc.yaml:train_tokenizer; with * many of them, such
    as 'pipelines/dmc/dvc.yaml:train_agent_viper@*-0'. Default: DeepMind Control and the overview, as `make repro`.
    """
    from viper_pipeline.core.errors import BadParams
    from viper_pipeline.dvc_bridge.project import project_of, project_root
    from viper_pipeline.dvc_bridge.run_stage import sound_params
    from viper_pipeline.dvc_bridge.scheduler import make_executor, run

    if everything and targets:
        raise BadParams("--all and targets: give one of them")
    root = project_root()
    targets = tuple(from_root(target, root) for target in targets)
    os.chdir(root)
    chosen, project = bool(targets or everything), project_of(root)
    if not chosen:
        targets = tuple(project.default(sound_params(root)))
    code = run(root, make_executor(executor, root, jobs, address), targets, dry)
    if code == 0 and targets and not chosen and not dry:
        for line in project.after_default(root):
            click.echo(line)
    sys.exit(code)


@cli.command()
@click.option("--profile", help="A file of profiles/, without .yaml. Default: params.yaml.")
@click.option("--on", help="Take measurements of this hardware, made before, instead of measuring this machine.")
@click.option(
    "--json", "keep", type=click.Path(), help="Keep what is measured in this file; what it holds is not measured again."
)
@click.option("--suite", "suites", multiple=True, help="Count this suite alone. Default: all of the profile.")
def cost(profile: str | None, on: str | None, keep: str | None, suites: tuple[str, ...]) -> None:
    """Say what a profile costs: hours, memory and disk, from a few timed steps of each kind of stage."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.cost import cost_command

    cost_command(project_root(), profile, on, keep, click.echo, suites)


@cli.command()
@click.option("--suite", "suites", multiple=True, help="Try the simulator of this suite alone. Default: all suites.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(suites: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine has and lacks for each suite, each lack with the line that mends it.

    Outside of a project: what this installation has, and which extras it lacks.
    """
    from viper_pipeline.core.errors import BadParams
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.doctor import doctor_command

    root: Path | None
    try:
        root = project_root()
    except BadParams:
        root = None
    sys.exit(doctor_command(root, suites, as_json, click.echo))


@cli.command()
@click.argument("artifact", type=click.Path())
@click.option("--mermaid", "form", flag_value="mermaid", help="A flow chart.")
@click.option("--json", "form", flag_value="json", help="For programs.")
def lineage(artifact: str, form: str | None) -> None:
    """Print the chain from ARTIFACT back to its sources; of data that are elsewhere, from the lock files."""
    from viper_pipeline.core.errors import BadParams
    from viper_pipeline.dvc_bridge.lineage import as_mermaid, as_text, trace
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipeline_registry import PROJECT

    try:
        root = project_root()
    except BadParams:
        root = Path.cwd()
    traced = trace(Path(artifact), root, PROJECT.readers)
    forms = {None: as_text, "mermaid": as_mermaid, "json": lambda t: json.dumps(t, indent=1) + "\n"}
    click.echo(forms[form](traced), nl=False)


@cli.command(name="import")
@click.argument("kind")
@click.argument("path", type=click.Path())
@click.option("--suite", required=True)
@click.option("--task", required=True)
@click.option("--out", required=True, type=click.Path())
@click.option("--camera", help="lerobot, minari: which camera of a dataset that has several.")
@click.option("--instruction", help="lerobot: only episodes of this task, in the dataset's own words.")
@click.option(
    "--layout",
    multiple=True,
    metavar="PART=NAME",
    help="hdf5: what the file calls its frames, episodes, lengths, ends, rewards, returns; for several, repeat it.",
)
def import_(
    kind: str,
    path: str,
    suite: str,
    task: str,
    out: str,
    camera: str | None,
    instruction: str | None,
    layout: tuple[str, ...],
) -> None:
    """Convert videos at PATH (KIND: npz, video, rlbench, lerobot, minari, hdf5, episodes) to an episodes file."""
    from viper_pipeline.core.errors import BadParams, naming
    from viper_pipeline.data.importers import import_videos
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.dvc_bridge.run_stage import sound_params
    from viper_pipeline.envs import SUITES

    block = sound_params(project_root())["suites"].get(suite, {})
    spec = SUITES.get(suite)().frame_spec(task, block.get("env", {}), block.get("frames", {}))
    if bad := next((one for one in layout if "=" not in one), None):
        raise BadParams(f"--layout {bad}: give PART=NAME, such as frames=obs/image")
    if layout and (kind != "hdf5" or camera):
        raise BadParams("--layout: only kind hdf5 takes it, and without --camera")
    names = dict(one.split("=", 1) for one in layout)
    chosen = {"camera": names or camera, "instruction": instruction}
    with naming(out):
        click.echo(import_videos(kind, Path(path), suite, task, Path(out), spec, chosen))


@cli.command(name="export")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "form", required=True, type=click.Choice(["lerobot", "npz", "videos"]))
@click.option("--fps", type=click.IntRange(1), default=20, show_default=True, help="Frames per second of the videos.")
@click.option("--lossless", is_flag=True, help="Videos keep every pixel; browsers do not show them.")
@click.option("--instruction", help="lerobot: the task in words. Default: the task's name.")
def export_command(dataset: Path, out: Path, form: str, fps: int, lossless: bool, instruction: str | None) -> None:
    """Write the episodes of DATASET (an .h5 of episodes or experts) to the new folder OUT, and say what it loses."""
    from viper_pipeline.core.errors import naming
    from viper_pipeline.data.exporters import ExportConfig, export_dataset

    config = ExportConfig(fps=fps, lossless=lossless, instruction=instruction)
    with naming(out):
        click.echo(export_dataset(dataset, out, form, config))


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("repo", metavar="USER/NAME")
@click.option("--license", "license_", help="Such as mit or cc-by-4.0; needed if videos were imported.")
@click.option("--private", is_flag=True, help="A new repository is only yours.")
@click.option("--message", help="Of the commit. Default: the name of PATH.")
def push(path: Path, repo: str, license_: str | None, private: bool, message: str | None) -> None:
    """Send PATH with its card to the repository USER/NAME of the Hugging Face Hub, which is made if it is missing.

    PATH is an .h5 file of episodes or experts, a folder of `viper export-reward`, or a LeRobot dataset.
    """
    from viper_pipeline.tools import hub

    click.echo(hub.push(path, repo, license_, private, message))


@cli.command()
@click.argument("repo", metavar="USER/NAME")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--revision", help="Branch, tag or commit. Default: main.")
@click.option("--kind", type=click.Choice(["model", "dataset"]), help="Needed if the Hub has both of this name.")
def pull(repo: str, out: Path, revision: str | None, kind: str | None) -> None:
    """Fetch a dataset or a reward from the Hugging Face Hub into the new folder OUT, and check that it is whole."""
    from viper_pipeline.tools import hub

    click.echo(hub.pull(repo, out, revision, kind))


@cli.command(name="import-checkpoint")
@click.argument("kind", type=click.Choice(["vqgan", "videogpt", "reward"]))
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--vqgan", type=click.Path(path_type=Path), help="Folder of the VQ-GAN. Default: beside PATH.")
@click.option("--suite", help="Whose tasks these are. Default: the first word of PATH's name, such as dmc.")
@click.option("--mode", type=click.Choice(["joint", "conditional"]), default="joint", show_default=True)
@click.option("--action-repeat", type=click.IntRange(1), help="Of its videos. Default: the suite's.")
def import_checkpoint_command(
    kind: str, path: Path, out: Path, vqgan: Path | None, suite: str | None, mode: str, action_repeat: int | None
) -> None:
    """Convert a checkpoint of VIPER's authors (flax) at PATH to the new folder OUT.

    KIND vqgan and videogpt write a model's folder; reward writes both, and what `load_reward` needs beside them.
    """
    from viper_pipeline.rewards.released import Choices, import_checkpoint

    click.echo(import_checkpoint(kind, path, out, Choices(vqgan, suite, mode, action_repeat)))


@cli.command(name="check")
@click.argument("file", type=click.Path())
def check_file(file: str) -> None:
    """Read a dataset FILE.h5 whole and verify every checksum and field."""
    from viper_pipeline.data.hdf5 import verify

    click.echo(verify(Path(file)))


@cli.command(name="export-reward")
@click.argument("reward", type=click.Path())
@click.argument("out", type=click.Path())
def export_reward_command(reward: str, out: str) -> None:
    """Copy REWARD (data/rewards/SUITE/MODEL) and its models to the new folder OUT, with a card."""
    from viper_pipeline.dvc_bridge.lineage import recorded_by
    from viper_pipeline.reporting.cards import export_reward

    click.echo(export_reward(Path(reward), Path(out), recorded_by(Path(reward))))


@cli.command()
@click.argument("videos", nargs=-1, required=True, type=PATH)
@click.option("--reward", "source", required=True, help="A reward's folder or name, such as dmc-laptop.")
@click.option("--task", help="Which of the reward's tasks.")
@click.option("--csv", type=PATH, help="Write a row for each frame; `-`: to standard output.")
@click.option("--json", "json_", type=PATH, help="Write the same for programs; `-`: to standard output.")
@click.option("--plot", type=PATH, help="Draw the scores along the videos, such as scores.png.")
@click.option("--overlay", type=PATH, help="The videos with the model's surprise on them, .mp4 or .gif.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def score(
    videos: tuple[Path, ...],
    source: str,
    task: str | None,
    csv: Path | None,
    json_: Path | None,
    plot: Path | None,
    overlay: Path | None,
    device: str,
) -> None:
    """How likely is each frame of VIDEOS (.mp4, .gif, .npz, .h5, or folders of them) given the last ones?

    Prints a line for each frame; with --csv or --json, for each video.
    """
    from viper_pipeline.core.errors import BadParams, naming
    from viper_pipeline.core.files import atomic_write, check_writable
    from viper_pipeline.reporting.overlay import check_overlay, draw_overlay
    from viper_pipeline.reporting.score import (
        as_csv,
        as_json,
        check_plot,
        check_sources,
        draw_scores,
        score_files,
        scores_table,
    )
    from viper_pipeline.rewards.pretrained import load_reward
    from viper_pipeline.training.config import device_of
    from viper_pipeline.training.progress import patient

    place = device_of(device)
    if plot:
        import matplotlib  # noqa: F401 (missing? then before any work)

        check_plot(plot)
    if csv == json_ == STDOUT:
        raise BadParams("--csv - and --json -: both would go to standard output; name a file for one of them")
    for path in (csv, json_):
        if path and path != STDOUT:
            check_writable(path)
    if overlay:
        check_overlay(overlay, check_sources(videos))
    model = load_reward(source).to(place)
    scored = score_files(model, videos, task, patient("scores, frames"), keep_frames=overlay is not None)
    if STDOUT not in (csv, json_):
        click.echo(scores_table(scored, each_frame=not (csv or json_)))
    for path, text_of in ((csv, as_csv), (json_, as_json)):
        if path == STDOUT:
            click.echo(text_of(scored), nl=False)
        elif path:
            with naming(path):
                atomic_write(path, text_of(scored).encode())
    if plot:
        with naming(plot):
            draw_scores(scored, model.of(task), plot)
    if overlay:
        with naming(overlay):
            draw_overlay(scored, model, overlay, patient("overlay, frames"))


@cli.command()
@click.option("--suite", help="Only figures that show something of this suite.")
@click.option("--draw", type=click.Path(path_type=Path), metavar="FOLDER", help="Draw them from what there is now.")
def figures(suite: str | None, draw: Path | None) -> None:
    """List the paper's figures and tables: complete, partial, missing or stale."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.report.commands import figures_command

    figures_command(project_root(), suite, draw)


@cli.command()
def overview() -> None:
    """Write reports/index.html, the page over all suites, from the metrics that they have now."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.report.commands import overview_command

    click.echo(overview_command(project_root()))


@cli.command()
@click.option("--suite", default="dmc", show_default=True)
@click.option("--method", default="viper", show_default=True, help="What the agents were trained on.")
@click.option("--agent", help="One of the suite's agents. Default: the first.")
@click.option("--seed", type=int, help="One of the seeds. Default: the first.")
@click.option("--out", default="showcase.webp", show_default=True, type=PATH, help="A .webp; numbers go to a .json.")
def showcase(suite: str, method: str, agent: str | None, seed: int | None, out: Path) -> None:
    """Write a video of experts, trained agents and random actions side by side."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.tools.showcase import showcase_command

    numbers = showcase_command(project_root(), suite, method, agent, seed, out)
    for task, about in numbers["tasks"].items():
        click.echo(f"{task}: " + "; ".join(f"{title} {value:.0f}" for title, value in about["shown"]))
    click.echo(out)


@cli.command(name="export-report")
@click.argument("suite")
@click.argument("out", type=PATH)
@click.option("--numbers", is_flag=True, help="Only metrics.json, curves.csv and the hashes: no page, no pictures.")
def export_report_command(suite: str, out: Path, numbers: bool) -> None:
    """Copy the report of SUITE to the folder OUT, such as ../other/reports/desk, with the hashes of what made it.

    `other_reports` of the other project's params.yaml lists such folders that have a page; its pages link to them.
    """
    from viper_pipeline.dvc_bridge.lineage import stale_outputs
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.dvc_bridge.run_stage import sound_params
    from viper_pipeline.reporting.other_reports import export_report

    root = project_root()
    profile = str(sound_params(root)["profile"])
    click.echo(export_report(root, suite, profile, stale_outputs(root), out, numbers))


@cli.command(name="export-runs")
def export_runs() -> None:
    """Write the results of every finished run, without weights, to reports/runs: for Git, and for others' reports."""
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.report.commands import export_runs_command

    for path in export_runs_command(project_root()):
        click.echo(path)


@cli.command(name="export-experts")
@click.option("--episodes", type=click.IntRange(1), default=50, show_default=True, help="Fresh episodes of each.")
def export_experts(episodes: int) -> None:
    """Write every expert that has been trained to pretrained/experts: for Git, and for `algorithm: file` elsewhere.

    Prints the entry of `experts` that takes each of them up again.
    """
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.experts.export import export_experts_command

    root = project_root()
    written = export_experts_command(root, episodes)
    if not written:
        click.echo("nothing to export: no expert is trained and up to date here that pretrained/experts does not hold")
    for exported in written:
        returns = exported.record.returns
        click.echo(f"{exported.path}: mean return {sum(returns) / len(returns):.1f} of {len(returns)} fresh episodes")
        click.echo(f"  {exported.entry(root)}")


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
def card(artifact: Path) -> None:
    """Print the card of a dataset or a model: what it is, how good, where from, and what it is not for."""
    from viper_pipeline.core.errors import BadParams
    from viper_pipeline.dvc_bridge.project import project_root
    from viper_pipeline.pipelines.report.commands import card_command

    try:
        root = project_root()
    except BadParams:
        root = Path.cwd()
    click.echo(card_command(artifact, root), nl=False)
