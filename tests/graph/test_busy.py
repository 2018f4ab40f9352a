"""How busy GPUs are, as a stand-in for nvidia-smi tells it."""

import time
from pathlib import Path

from viper_pipeline.graph.busy import Busy
from viper_pipeline.reporting.summary import by_stage


def test_the_mean_over_gpus_and_looks(tmp_path: Path, monkeypatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"""#!/bin/sh
echo look >> {tmp_path}/looks
[ $(wc -l < {tmp_path}/looks) -eq 1 ] && printf '40\\n60\\n' || printf '80\\n[N/A]\\n'
""")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    busy = Busy(every=0.02)
    end = time.monotonic() + 20
    while busy.looks < 2 and time.monotonic() < end:
        time.sleep(0.01)
    percent = busy.stop()
    assert percent is not None and busy.looks >= 2
    assert percent == round((50 + 80 * (busy.looks - 1)) / busy.looks, 1)


def test_nothing_without_the_tool(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    busy = Busy(every=0.001)
    time.sleep(0.01)
    assert busy.stop() is None and not busy.thread.is_alive()


def test_a_stage_s_row_has_the_mean_of_the_runs_that_were_watched() -> None:
    cost = {"seconds": 1, "peak_rss_mb": 1, "machine": "m"}
    rows = by_stage({"a.b.x": {**cost, "gpu_percent": 90.0}, "a.b.y": {**cost, "gpu_percent": 70.0}, "a.c.z": cost})
    assert [row.gpu_percent for row in rows] == [80.0, None]
