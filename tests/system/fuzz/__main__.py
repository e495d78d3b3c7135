"""Send bad input to `synth-pools serve` for ten minutes; count its answers, read its log.

    python -m tests.system.fuzz [--minutes 10] [--write docs/results/fuzz.md]

Exit status 1 for an answer of 500, a traceback in the log, or an answer to bad HTTP that the table
does not allow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from synth_pools.spec import spec_path
from tests.system.fuzz.attackers import Attackers

_KEY = "sk_fuzz_test"
_ROUND_SECONDS = 150
_WIDTH = 110
_PAGE = """\
# Fuzz test

`make fuzz` runs `synth-pools serve` under four attackers at once: schemathesis over the whole of
`openapi.yaml`, the table of bad HTTP (`tests/support/raw_http.py`), requests with bytes changed,
cut out or doubled, and 50 connections that say half of something or read nothing.

```text
{text}
```
"""
_CONFIGURATION = """
base-url = "{url}"
headers = {{ Authorization = "Bearer {key}" }}
request-timeout = 30
hooks = "{hooks}"

[cache]
enabled = false
"""


@dataclass
class Found:
    seconds: float = 0.0
    rounds: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    raw: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    log_lines: int = 0
    tracebacks: int = 0
    memory_mib: float = 0.0

    @property
    def is_good(self) -> bool:
        was_attacked = self.statuses.total() and self.raw.total()
        return bool(was_attacked) and not (self.wrong or self.tracebacks or self.statuses["500"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.fuzz")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--write", type=Path)
    requested = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = attack(Path(folder), requested.minutes * 60)
    wrapped = (textwrap.wrap(line, _WIDTH, subsequent_indent=" " * 34) for line in report(result))
    text = "\n".join(line for lines in wrapped for line in lines)
    print(text)
    if requested.write is not None:
        requested.write.write_text(_PAGE.format(text=text))
    return 0 if result.is_good else 1


def attack(folder: Path, seconds: float) -> Found:
    result = Found()
    log = folder / "log"
    with log.open("w") as stderr:
        command = [sys.executable, "-m", "synth_pools.cli", "serve", "--port", "0"]
        command += ["--data-dir", str(folder / "data"), "--grace", "1"]
        serving = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "SYNTH_POOLS_API_KEY": _KEY},
        )
    try:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[-1]
        rollout_id = _a_long_rollout(url)
        attackers = Attackers(httpx.URL(url).port or 0, _KEY, rollout_id)
        start = time.monotonic()
        attackers.begin()
        try:
            while (remaining := seconds - (time.monotonic() - start)) > 5:
                _fuzz(folder, url, result, min(remaining, _ROUND_SECONDS))
                print(f"... {time.monotonic() - start:.0f} s", file=sys.stderr)
        finally:
            attackers.end()
        result.seconds = time.monotonic() - start
        result.raw, result.wrong = attackers.statuses, result.wrong + attackers.wrong
        httpx.get(f"{url}/health").raise_for_status()
        result.memory_mib = _memory_mib(serving.pid)
        serving.send_signal(signal.SIGTERM)
        if serving.wait(60) != 0:
            result.wrong.append(f"serve ended with {serving.returncode}")
    finally:
        serving.kill()
        serving.communicate()
    text = log.read_text(errors="replace")
    result.log_lines = len(text.splitlines())
    result.tracebacks = text.count("Traceback (most recent call last)")
    if result.tracebacks:
        result.wrong.append(text[text.index("Traceback") :][:3000])
    if _KEY in text:
        result.wrong.append("the log holds the key")
    return result


def _a_long_rollout(url: str) -> str:
    headers = {"authorization": f"Bearer {_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        pool_id = client.post("/v1/pools", json={"name": "n"}).json()["id"]
        body = {"env": {"delay": 3600, "events": 1000}}
        return str(client.post(f"/v1/pools/{pool_id}/rollouts", json=body).json()["id"])


def _fuzz(folder: Path, url: str, result: Found, seconds: float) -> None:
    """One round of schemathesis over the whole document."""
    counts, configuration = folder / "counts.json", folder / "schemathesis.toml"
    counts.unlink(missing_ok=True)
    configuration.write_text(
        _CONFIGURATION.format(url=url, key=_KEY, hooks="tests.system.fuzz.hooks")
    )
    result.rounds += 1
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={configuration}"]
    command += ["--no-color", "run", str(spec_path()), "--suppress-health-check=all"]
    command += [f"--seed={result.rounds}", "--max-examples=60", f"--max-time={int(seconds)}"]
    # Other tests judge other statuses.
    command += ["--checks=not_a_server_error", "--continue-on-failure"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
        env={**os.environ, "FUZZ_COUNTS": str(counts), "PYTHONPATH": str(Path.cwd())},
    )
    if not counts.exists():
        result.wrong.append(f"schemathesis did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return
    document = json.loads(counts.read_text())
    result.statuses.update(document["statuses"])
    result.wrong += document["failures"]


def _memory_mib(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def report(result: Found) -> list[str]:
    def counted(counts: Counter[str]) -> str:
        parts = (f"{status}: {number:,}" for status, number in sorted(counts.items()))
        return f"{counts.total():,}  ({', '.join(parts)})"

    minutes = f"{result.seconds / 60:.1f} minutes, {result.rounds} rounds"
    return [
        f"{minutes}, Python {platform.python_version()}",
        f"requests made from openapi.yaml   {counted(result.statuses)}",
        f"raw requests and connections      {counted(result.raw)}",
        f"answers of 500                    {result.statuses['500'] + result.raw['500']}",
        f"tracebacks in the log             {result.tracebacks}  (of {result.log_lines} lines)",
        f"memory of the backend at the end  {result.memory_mib:.0f} MiB",
        f"bad HTTP answered otherwise       {len(result.wrong)}",
        *result.wrong[:20],
        "holds" if result.is_good else "DOES NOT HOLD",
    ]


if __name__ == "__main__":
    sys.exit(main())
