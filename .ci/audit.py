"""Known vulnerabilities of locked versions, by pip-audit: a line for each, or one that says why none were looked for.

Run: python .ci/audit.py LOCK ... (with pip-audit installed; `make audit` does). Ends with 1 if something is found. The
service is the JSON interface of the package index; an index that mirrors PyPI may lack it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator


def audited(locks: list[str]) -> subprocess.CompletedProcess[str]:
    """pip-audit's report on what stands in the locks; nothing is installed or resolved."""
    files = [word for lock in locks for word in ("-r", lock)]
    words = ["-m", "pip_audit", "--disable-pip", "--no-deps", "--format=json", "--progress-spinner=off", *files]
    return subprocess.run([sys.executable, *words], capture_output=True, text=True)


def lines(report: str, errors: str) -> Iterator[tuple[bool, str]]:
    """What to say of a report: whether it is a vulnerability, and a line."""
    try:
        packages = json.loads(report)["dependencies"]
    except ValueError:
        last = errors.strip().splitlines()[-1:] or ["no word"]
        yield False, f"nothing audited: the service of vulnerabilities cannot be reached ({last[0][:200]})"
        return
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        yield False, f"nothing audited: this package index tells no vulnerabilities (of {len(packages)} packages)"
        return
    for package in known:
        for found in package["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            yield True, f"{package['name']} {package['version']}: {found['id']}, mended in {mended}"
    skipped = len(packages) - len(known)
    yield False, f"{len(known)} packages audited{f', {skipped} not known to the index' if skipped else ''}"


def main(locks: list[str]) -> int:
    """Print the lines; 1 if there is a vulnerability."""
    done = audited(locks)
    said = list(lines(done.stdout, done.stderr))
    for _, line in said:
        print(line)
    return int(any(found for found, _ in said))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
