"""Training curves as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def history_csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Rows of metrics -> CSV; columns in the order of the first row, missing values empty."""
    if not rows:
        return b""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names)]
    lines += [",".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in rows]
    return ("\n".join(lines) + "\n").encode()
