"""Pickles of strangers: demonstrations come in as records, and no program in one is run."""

import io
import os
import pickle
import pickletools
import time

import numpy as np
import pytest

from tests.data.gadgets import PROTOCOLS, by_hand, calls
from viper_pipeline.core.errors import BadData
from viper_pipeline.data.importers import safe_pickle
from viper_pipeline.data.importers.safe_pickle import Array, Demo, Observation, Record, read_safely

TRIED = 226
"""32 calls in each of 6 protocols, and 34 programs written by hand."""


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "canary"


def hostile(canary):
    """Name -> bytes of every hostile pickle."""
    written = {
        f"{name}, protocol {p}": pickle.dumps(call, p) for name, call in calls(canary).items() for p in PROTOCOLS
    }
    return written | by_hand(canary)


def touched(canary):
    """Whether anything new lies beside the canary's own script and the pickle."""
    return {p.name for p in canary.parent.iterdir()} - {"canary.py", "x.pkl"}


def test_no_hostile_pickle_is_run(canary):
    """226 hostile pickles are tried; all 226 are refused with the file's name, and none of them runs."""
    tried = hostile(canary)
    assert len(tried) == TRIED
    before = {name: dict(vars(kind)) for name, kind in vars(safe_pickle).items() if isinstance(kind, type)}
    for name, content in tried.items():
        path = canary.parent / "x.pkl"
        path.write_bytes(content)
        with pytest.raises(BadData, match=r"x\.pkl: refused, and nothing in it was run"):
            read_safely(path)
        assert not touched(canary), name
    assert {name: dict(vars(getattr(safe_pickle, name))) for name in before} == before


def test_to_those_who_trust_them_these_pickles_do_harm(canary):
    """The same programs under `pickle.loads`, one protocol each: otherwise the test above would show nothing."""
    programs = {name: pickle.dumps(call) for name, call in calls(canary).items()}
    programs |= {name: p for name, p in by_hand(canary).items() if not name.startswith(("HARMLESS", "after", "in a"))}
    for name, program in programs.items():
        try:
            left = pickle.loads(program)
        except TypeError as error:
            left = error
        for _ in range(200):
            if found := touched(canary):
                break
            time.sleep(0.01)  # a shell of its own takes its time
        assert found, name
        getattr(left, "wait", getattr(left, "close", int))()
        for file in found:
            path = canary.parent / file
            path.rmdir() if path.is_dir() and not path.is_symlink() else os.unlink(path)


class Stranger:
    """Stands for RLBench's classes while a file is written."""

    def __init__(self, **state):
        self.__dict__.update(state)


def demonstration(protocol, moments=3):
    """What RLBench writes, by Python's own pickler; names are put in afterwards."""
    demo, observation = (type(name, (Stranger,), {"__module__": "x"}) for name in ("Demo", "Observation"))
    seen = [
        observation(
            front_rgb=None, joint_positions=np.arange(7.0) + t, gripper_open=1.0, one=np.float64(t), misc={"near": 0.1}
        )
        for t in range(moments)
    ]
    made = demo(_observations=seen, random_seed=("MT19937", np.arange(624, dtype=np.uint32), 3), num_reset_attempts=1)
    places = {demo: "rlbench.demo", observation: "rlbench.backend.observation"}

    class Writer(pickle._Pickler):  # the one in Python: it can be told where a class lives
        def save_global(self, obj, name=None):
            if obj not in places:
                return super().save_global(obj, name)
            module = places[obj]
            if self.proto >= 4:
                self.save(module)
                self.save(obj.__name__)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())
            return self.memoize(obj)

        dispatch = pickle._Pickler.dispatch | {type: lambda self, obj: self.save_global(obj)}

    buffer = io.BytesIO()
    Writer(buffer, protocol).dump(made)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("protocol", "core"), [(2, b"numpy._core"), (3, b"numpy.core"), (4, b"numpy._core"), (5, b"numpy._core")]
)
def test_demonstrations_of_every_python_3_come_in_as_records(tmp_path, protocol, core):
    content = demonstration(protocol)
    if protocol < 4:  # there names end with the line, so that another length does no harm
        content = content.replace(b"numpy._core", core)
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    demo = read_safely(path)
    assert type(demo) is Demo and len(demo.state["_observations"]) == 3
    for t, moment in enumerate(demo.state["_observations"]):
        assert type(moment) is Observation and moment.state["gripper_open"] == 1
        assert isinstance(moment.state["joint_positions"], Array) and isinstance(moment.state["one"], Array), t
    assert isinstance(demo.state["random_seed"][1], Array)


def test_plain_values_come_in_as_they_are(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(["push the button", {"a": (1, 2.5, None, b"x")}]))
    assert read_safely(path) == ["push the button", {"a": (1, 2.5, None, b"x")}]


def test_a_file_too_large_is_not_opened(tmp_path):
    path = tmp_path / "x.pkl"
    with open(path, "wb") as file:
        file.truncate(safe_pickle.LARGEST + 1)  # takes no room on the disk
    with pytest.raises(BadData, match=r"x\.pkl: \d+ bytes, more than"):
        read_safely(path)


def test_records_have_no_behaviour():
    for kind in set(safe_pickle.NAMES.values()):
        assert issubclass(kind, Record) and set(vars(kind)) <= {"__slots__", "__module__", "__doc__"}


def stacked(value, *below):
    """A pickle of `value` with others left under it on the stack."""
    parts = [pickletools.optimize(pickle.dumps(one, 2))[2:-1] for one in (*below, value)]
    return b"\x80\x02" + b"".join(parts) + b"."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (stacked(["a word"], {"hidden": 1}), "stack not empty"),
        (stacked(["a word"]) + b"more", "4 bytes follow its end"),
        (stacked(["a word"]) + stacked([]), "bytes follow its end"),
        (b"\x80\x02(]q\x00.", "stack not empty"),
        (b"\x80\x02]q\x00", "before"),
        (stacked({"a": 1}), "it is not a list of sentences: it holds a dict, not a list"),
        (stacked("a word"), "it holds a str"),
    ],
)
def test_what_is_no_single_value_of_its_type_is_refused(tmp_path, content, said):
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(BadData, match=rf"x\.pkl: refused, and nothing in it was run: .*{said}"):
        read_safely(path, what="list of sentences", expected=(list,))


def test_a_single_value_of_its_type_is_read(tmp_path):
    (tmp_path / "x.pkl").write_bytes(stacked(["a word"]))
    assert read_safely(tmp_path / "x.pkl", expected=(list,)) == ["a word"]
