"""Files appear whole or not at all, and hash as DVC hashes them."""

import subprocess
import sys

import pytest
import yaml

from viper_pipeline.core.files import atomic_dir, atomic_path, atomic_write, md5_dir, md5_of


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "x.txt"
    atomic_write(path, b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "model"
    with atomic_dir(path) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_dir(path) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["a"]
    with atomic_dir(path) as folder:
        (folder / "b").write_text("2")
    assert [p.name for p in path.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_hashes_are_dvcs(tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub-d.txt", "sub.e.txt"):
        (tmp_path / "data" / name).write_text(name)
    (tmp_path / "one.bin").write_bytes(bytes(range(256)))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    subprocess.run([*dvc, "add", "-q", "data", "one.bin"], cwd=tmp_path, check=True)
    for name in ("data", "one.bin"):
        recorded = yaml.safe_load((tmp_path / f"{name}.dvc").read_text())["outs"][0]["md5"]
        assert md5_of(tmp_path / name) == recorded
    before = md5_dir(tmp_path / "data")
    (tmp_path / "data" / "a.txt").write_text("other")
    assert md5_dir(tmp_path / "data") != before
