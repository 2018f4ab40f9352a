"""One reader of YAML: what it reads, DVC and Kedro read as well; on what they disagree is refused with its line."""

import io
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from viper_pipeline.core.errors import BadParams
from viper_pipeline.core.yaml_files import parse_yaml, read_dvc_yaml, read_yaml


def dvc_reads(text):
    from dvc.utils.serialize import parse_yaml as parse

    return parse(text, "x.yaml")


def kedro_reads(text):
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=True)


NUMBERS = st.one_of(
    st.text("0123456789_.eE+-xob:", min_size=1, max_size=7),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
)
WORDS = st.one_of(
    st.sampled_from(
        "yes no on off y n true True TRUE null Null ~ = << .inf -.inf .nan ??? ${a} 2026-11-30".split()  # noqa: SIM905
    ),
    st.text("abnoyes-~=<>?!&*#%@{}[],:'\"|. \t0", max_size=6),
)


@settings(max_examples=400, deadline=None)
@given(word=st.one_of(NUMBERS, WORDS))
@example("-.5")
@example("0o17")
@example("2e-3")
@example("1_000")
@example("._")
@example("|#")
@example("0_:0.")
def test_a_value_is_the_one_that_dvc_and_kedro_read_or_refused(word):
    text = f"x: {word}\n"
    try:
        mine = parse_yaml(text)
    except BadParams:
        return
    if mine is None:
        return
    assert repr(mine) == repr(dvc_reads(text)) == repr(kedro_reads(text))


@settings(max_examples=200, deadline=None)
@given(word=st.one_of(NUMBERS, WORDS.filter(bool)))
def test_so_is_a_key(word):
    text = f"{word}: 1\n"
    try:
        mine = parse_yaml(text)
    except BadParams:
        return
    if not isinstance(mine, dict):  # a comment, which leaves one value or none
        return
    assert repr(mine) == repr(dvc_reads(text)) == repr(kedro_reads(text))


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_numbers_as_python_and_dvc_write_them_are_read(number, whole):
    assert parse_yaml(f"[{number!r}, {whole}]") == [number, whole]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2e-3", {"a": 0.002}),
        ("a: 3e-05", {"a": 3e-05}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ('"*": {path: data/{task}.h5}', None),
        ("a: 'no'\nb: \"1e-3\"", {"a": "no", "b": "1e-3"}),
        ("a: |\n  x: 1\n", {"a": "x: 1\n"}),
        ("a: 'b\u00a0c' # d\u00a0e", {"a": "b\u00a0c"}),
    ],
)
def test_what_is_meant_is_read(text, value):
    if value is None:  # braces open a block of their own
        with pytest.raises(BadParams, match="line 1"):
            parse_yaml(text)
        return
    assert parse_yaml(text) == value == dvc_reads(text) == kedro_reads(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", ["line 2", "a", "twice", "line 1"]),
        ("b:\n  c: 1\n  d: 2\n  c: 3\n", ["line 4", "c", "line 2"]),
        ("a: 0100\n", ["line 1", "0100", "plain decimal"]),
        ("x: 1\nmask: on\n", ["line 2", "on", "Kedro", "true"]),
        ("a:\t1\n", ["line 1", "tab"]),
        ("a:\n\tb: 1\n", ["line 2", "tab"]),
        ("a: 1\nb:\u00a02\n", ["line 2", "U+00A0", "space"]),
        ("a: 1\u2028b: 2\n", ["line 1", "U+2028"]),
        ("on: 1\n", ["line 1", "on"]),
        ("1: 2\n", ["line 1", "quotes"]),
        ("a: .nan\n", ["line 1", ".nan"]),
        ("a: ${seed}\n", ["line 1", "Kedro"]),
        ("a: !!python/object:os.system x\n", ["line 1", "tag"]),
        ("a: &x [*x]\n", ["line 1", "alias"]),
        ("a: [1, 2\n", ["not YAML", "line"]),
        ("a: 1\n---\nb: 2\n", ["document"]),
    ],
)
def test_the_rest_is_refused_in_one_line(text, said, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(BadParams) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert all(word in message for word in ["params.yaml", *said]) and "\n" not in message


def test_a_bomb_of_aliases_ends_soon():
    lines = ["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(BadParams, match="aliases"):
        parse_yaml("\n".join(lines))


@pytest.mark.parametrize(("encoding", "said"), [("latin-1", "line 2"), ("utf-16", "UTF-16"), ("utf-16-be", "params")])
def test_another_encoding_is_named(tmp_path, encoding, said):
    path = tmp_path / "params.yaml"
    path.write_bytes("seed: 1\nprofile: labör\n".encode(encoding))
    with pytest.raises(BadParams, match=said):
        read_yaml(path)


def test_utf8_is_read_with_and_without_a_mark(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / f"{encoding}.yaml"
        path.write_bytes("profile: labör # tab\there\n".encode(encoding))
        assert read_yaml(path) == {"profile": "labör"}


def test_lock_files_are_read_as_dvc_wrote_them(tmp_path):
    from dvc.utils.serialize import dump_yaml

    values = {"a": 3e-05, "b": "no", "c": "1:30", "d": "on", "e": True, "f": None, "g": 1e22, "h": "2e", "i": math.pi}
    dump_yaml(str(tmp_path / "dvc.lock"), values)
    assert read_dvc_yaml(tmp_path / "dvc.lock") == values
    (tmp_path / "dvc.lock").write_text("a: [")
    with pytest.raises(BadParams, match=r"dvc\.lock.*git checkout"):
        read_dvc_yaml(tmp_path / "dvc.lock")
    assert read_dvc_yaml(tmp_path / "nothing.lock") == {}
