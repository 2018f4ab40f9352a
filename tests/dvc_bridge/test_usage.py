"""How busy GPUs are, as NVIDIA's driver tells it."""

import time

from viper_pipeline.dvc_bridge.provenance import GpuMonitor
from viper_pipeline.reporting.summary import by_stage


def test_the_mean_over_gpus_and_looks() -> None:
    monitor = GpuMonitor(every=100)
    monitor.note([40.0, 60.0])
    monitor.note([80.0])
    assert monitor.stop() == 65.0


def test_nothing_without_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)
    monitor = GpuMonitor(every=0.001)
    time.sleep(0.01)
    assert monitor.stop() is None and monitor.thread is None


def test_a_machine_without_its_driver_counts_nothing(monkeypatch) -> None:
    """A device file without a working driver, as in some containers."""
    monkeypatch.setattr("pathlib.Path.exists", lambda self: True)
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    monitor = GpuMonitor(every=0.001)
    assert monitor.thread is not None
    monitor.thread.join(10)
    assert monitor.stop() is None


def test_a_stage_s_row_has_the_mean_of_the_runs_that_were_watched() -> None:
    cost = {"seconds": 1, "peak_rss_mb": 1, "machine": "m"}
    rows = by_stage({"a.b.x": {**cost, "gpu_percent": 90.0}, "a.b.y": {**cost, "gpu_percent": 70.0}, "a.c.z": cost})
    assert [row.gpu_percent for row in rows] == [80.0, None]
