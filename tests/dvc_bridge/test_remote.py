"""No shared file system: two clones and an S3 remote between them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dvc_bridge.toy import Toy

BUCKET = "viper"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that speaks S3, with an empty bucket."""
    moto = pytest.importorskip("moto.server")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
    yield address
    server.stop()


def clone(folder: Path, address: str) -> Toy:
    """A fresh checkout without any data or lock file, that knows the remote."""
    toy = Toy.make(folder, "toy")
    toy.run("viper", "dvc", "sync")
    toy.run("dvc", "remote", "add", "-d", "store", f"s3://{BUCKET}/project")
    toy.run("dvc", "remote", "modify", "store", "endpointurl", address)
    return toy


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_one_clone_has_computed_the_other_does_not(tmp_path: Path, s3: str) -> None:
    worker, leader = clone(tmp_path / "worker", s3), clone(tmp_path / "leader", s3)
    worker.run("viper", "run", "-j", "1", "pipelines/one/dvc.yaml:train_agent@red-drq-0")
    there = worker.ran()
    assert "one.train_agent.red-drq-0" in there
    worker.run("dvc", "push", "--run-cache")
    leader.run("dvc", "fetch", "--run-cache")
    leader.run("dvc", "repro", "--pull", "--all-pipelines")
    here = leader.ran()
    assert not set(there) & set(here)
    assert "report.collect.all" in here
    assert worker.hashes().items() <= leader.hashes().items()
    assert leader.stale() == set()
