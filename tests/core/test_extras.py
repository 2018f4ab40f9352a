"""The light installation: a reward's user needs no library of an extra, and a missing one is named with its extra.

Libraries are hidden by a finder that refuses everything but those that `pip install viper-pipeline` brings.
"""

import ast
import importlib.metadata
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import viper_pipeline
from viper_pipeline.core.errors import BadEnvironment
from viper_pipeline.core.extras import EXTRA_OF, LIGHT, extras_named, missing_library

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "viper_pipeline"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def distributions(requirements):
    """Names of `requirements` and of all that they require, as pip would install them, in small letters."""
    found, todo = set(), [Requirement(r) for r in requirements]
    while todo:
        requirement = todo.pop()
        name = requirement.name.lower().replace("_", "-")
        if name in found:
            continue
        try:
            further = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        found.add(name)
        extras = ["", *requirement.extras]
        todo += [
            r for r in map(Requirement, further) if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)
        ]
    return found


HIDE = """
import importlib.metadata, importlib.machinery, sys
light = set({light!r})
owners = importlib.metadata.packages_distributions()
hidden = {{top for top, names in owners.items()
          if not any(n.lower().replace("_", "-") in light for n in names) and top != "viper_pipeline"}}

class Refuse:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse)
asked, version = set(), importlib.metadata.version
def without(name):
    if name.lower().replace("_", "-") not in light:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = without
"""


@pytest.fixture(scope="module")
def light():
    """Distributions of the light installation."""
    found = distributions(PROJECT["dependencies"])
    assert {"torch", "av", "pillow"} <= found and not {"kedro", "dvc", "h5py", "dm-control", "scipy"} & found
    return found


def run(light, code, folder):
    """Run Python code, without the libraries of extras."""
    program = HIDE.format(light=sorted(light)) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder with an .npz and an .mp4 of the same grey square that wanders."""
    from viper_pipeline.reporting.films import write_mp4

    folder = tmp_path_factory.mktemp("film")
    frames = np.zeros((6, 64, 64, 3), np.uint8)
    for t in range(6):
        frames[t, 20:40, 8 * t : 8 * t + 16] = 200
    np.savez(folder / "film.npz", arr_0=frames)
    write_mp4(frames, folder / "film.mp4", 20)
    return folder


def test_the_shipped_reward_scores_frames_in_the_light_installation(light, film):
    done = run(
        light,
        """
        import numpy as np
        import viper_pipeline

        model = viper_pipeline.load_reward("dmc-laptop")
        frames = np.load("film.npz")["arr_0"]
        print(*model.score(frames, "cartpole_balance"))
        viper_pipeline.ViperWrapper, viper_pipeline.VectorViperWrapper
        import viper_pipeline.gym
        assert not hidden & {name.partition(".")[0] for name in sys.modules}, hidden & set(sys.modules)
        """,
        film,
    )
    assert done.returncode == 0, done.stderr
    nats = [float(word) for word in done.stdout.split()]
    expected = viper_pipeline.load_reward("dmc-laptop").score(np.load(film / "film.npz")["arr_0"], "cartpole_balance")
    np.testing.assert_allclose(nats, expected, rtol=1e-4)


def test_the_command_scores_films_in_the_light_installation(light, film):
    done = run(
        light,
        """
        sys.argv = ["viper", "score", "film.mp4", "film.npz", "--reward", "dmc-laptop", "--task", "cartpole_balance",
                    "--csv", "light.csv", "--overlay", "light.gif"]
        from viper_pipeline.__main__ import main
        main()
        """,
        film,
    )
    assert done.returncode == 0, done.stderr
    assert len((film / "light.csv").read_text().splitlines()) == 1 + 2 * 6
    assert (film / "light.gif").stat().st_size > 1000


def test_rewards_are_shared_with_the_extra_hub_alone(light, film):
    done = run(
        light | distributions(EXTRAS["hub"]),
        """
        from viper_pipeline.reporting.hub_cards import shared
        from viper_pipeline.rewards.pretrained import PRETRAINED
        from viper_pipeline.tools.hub import hub

        sent = shared(PRETRAINED / "dmc-laptop")
        print(sent.kind, len(sent.files), sent.card.splitlines()[1], hub().endpoint)
        """,
        film,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("model 7 license: mit http")


@pytest.mark.parametrize(
    "words, extra",
    [
        (
            ["score", "film.npz", "--reward", "dmc-laptop", "--task", "cartpole_balance", "--plot", "plot.png"],
            "pipeline",
        ),
        (["score", "film.h5", "--reward", "dmc-laptop", "--task", "cartpole_balance"], "pipeline"),
        (["lineage", str(SOURCE / "pretrained" / "dmc-laptop")], "pipeline"),
        (["params", "check", str(ROOT / "params.yaml")], "pipeline"),
        (["train-reward", "experts", "baselines", "out"], "pipeline"),
    ],
)
def test_a_command_that_needs_an_extra_ends_in_one_line(light, film, words, extra):
    (film / "film.h5").write_bytes(b"")
    done = run(light, f"sys.argv = ['viper', *{words!r}]\nfrom viper_pipeline.__main__ import main\nmain()", film)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"pip install 'viper-pipeline[{extra}]'" in done.stderr


def test_functions_that_need_an_extra_raise_one_message(light, film):
    done = run(
        light,
        """
        import viper_pipeline
        from viper_pipeline.core.errors import BadEnvironment

        def message(call):
            try:
                call()
            except BadEnvironment as error:
                print(error)

        model = viper_pipeline.load_reward("dmc-laptop")
        message(lambda: model.environment("cartpole_balance"))
        frames = model.spec("cartpole_balance")
        model.known, model.spec = lambda task: task, lambda task: frames  # as rewards of other suites would
        for model.suite, task in (("atari", "pong"), ("tabletop", "panda_push_button")):
            message(lambda: model.environment(task))
        message(lambda: viper_pipeline.train_reward)
        """,
        film,
    )
    assert done.returncode == 0, done.stderr
    named = [line.partition("viper-pipeline[")[2].partition("]")[0] for line in done.stdout.splitlines()]
    assert named == ["dmc", "atari", "dmc", "pipeline"]


def third_party(path):
    """Top-level names that a file imports from elsewhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_every_library_that_is_imported_is_light_or_of_an_extra():
    found = {name for path in SOURCE.rglob("*.py") for name in third_party(path)}
    found -= set(sys.stdlib_module_names) | {"viper_pipeline"}
    assert found == set(LIGHT) | set(EXTRA_OF)


def requirements(extra):
    """An extra's own requirements, and those of the extras that it includes."""
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == "viper-pipeline":
            for inner in requirement.extras:
                yield from requirements(inner)
        else:
            yield requirement


def test_each_extra_brings_the_libraries_that_name_it():
    owners = importlib.metadata.packages_distributions()
    for module, extra in EXTRA_OF.items():
        if extra == "rlbench":
            continue  # is in no index
        if module not in owners and extra == "tracking":  # not installed for tests
            assert {"dvclive", "wandb", "tensorboard", "mlflow-skinny"} <= {one.name for one in requirements(extra)}
            continue
        brought = distributions(map(str, requirements(extra)))
        assert brought & {name.lower().replace("_", "-") for name in owners[module]}, f"{extra} brings no {module}"


def test_the_locked_versions_are_within_the_bounds():
    texts = [(ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock")]
    assert "\nray==" not in texts[0] and "\nmoto==" not in texts[0]  # `make repro` does not run them
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", "".join(texts), re.MULTILINE)
    locked = {canonicalize_name(name): version for name, version in lines}
    asked = [Requirement(r) for r in PROJECT["dependencies"]]
    asked += [r for extra in EXTRAS if extra != "tracking" for r in requirements(extra)]
    for requirement in asked:
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_every_locked_version_has_the_hash_of_its_archives():
    for name in ("requirements.lock", "requirements-dev.lock"):
        pins = re.split(r"\n(?=\S)", (ROOT / name).read_text().partition("\n")[2])
        assert len(pins) > 50
        for pin in pins:
            assert re.fullmatch(r"[\w.-]+==[^\s;]+( ;[^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\s*", pin), pin[:80]


def test_other_errors_pass_through():
    assert missing_library(ModuleNotFoundError("no name")) is None
    assert missing_library(ImportError("broken", name="kedro")) is None
    with pytest.raises(ModuleNotFoundError, match="numpy_typo"), extras_named():
        raise ModuleNotFoundError("No module named 'numpy_typo'", name="numpy_typo")
    with pytest.raises(BadEnvironment, match=r"viper-pipeline\[rlbench\].*docs/rlbench.md"), extras_named():
        raise ModuleNotFoundError("No module named 'rlbench'", name="rlbench.tasks")
