"""Comparison: the faults that `schemathesis run` finds alone, with as many requests.

    python -m tests.contract.selftest.plain_schemathesis --write docs/...

By default one fault of each kind.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from synth_pools.contract.document import Document
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec, spec_path
from tests.contract.faults import FAULTS, Fault
from tests.contract.faults.proxy import FaultProxy

_LIMIT = 900.0
KEY = "selftest-key-0123456789"
_ROUTES = {operation.route: name for name, operation in Document(load_spec()).operations.items()}
# A faultless backend fails it: archived pools stay readable, which the tool cannot know.
_UNFAIR = "use_after_free"
_CONFIGURATION = '[warnings]\nfail-on = ["missing_auth"]\n[cache]\nenabled = false\n'


@dataclass(frozen=True, slots=True)
class Run:
    exit_code: int
    # Kind of failure and operation.
    failures: frozenset[tuple[str, str]]
    requests: int
    seconds: float


def run_plain(fault: Fault | None, seed: int, examples: int) -> Run:
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalBackend(api_key=KEY) as backend,
        FaultProxy(backend.url, fault, KEY) as proxy,
    ):
        report = Path(folder) / "report.json"
        (Path(folder) / "schemathesis.toml").write_text(_CONFIGURATION)
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            "schemathesis.toml",
            "run",
            str(spec_path()),
            "--url",
            proxy.url,
            "--header",
            f"Authorization: Bearer {KEY}",
            "--seed",
            str(seed),
            "--max-examples",
            str(examples),
            "--exclude-checks",
            _UNFAIR,
            "--report",
            "json",
            "--report-json-path",
            str(report),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LIMIT, check=False)
        results = json.loads(report.read_text()) if report.exists() else {}
    failures = frozenset(
        (failure["type"], _ROUTES.get(route, route))
        for failure in results.get("failures", [])
        for route in failure["operations"]
    )
    # Unanswered requests are errors there, without an operation.
    failures |= {(error["title"], "") for error in results.get("errors", [])}
    sent = int(results.get("test_cases", {}).get("generated", 0))
    return Run(done.returncode, failures, sent, time.monotonic() - began)


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    faults = _chosen(options.only)
    usual: set[tuple[str, str]] = set()
    for seed in range(options.seed, options.seed + 2):
        clean = run_plain(None, seed, options.examples)
        usual |= clean.failures
        print(
            f"no fault, seed {seed}: exit {clean.exit_code}, {sorted(clean.failures)}", flush=True
        )
    rows: list[tuple[Fault, Run, tuple[str, ...]]] = []
    for place, fault in enumerate(faults):
        run = run_plain(fault, options.seed + place, options.examples)
        new = {
            kind
            for kind, operation in run.failures - usual
            if not (fault.operations and operation) or operation in fault.operations
        }
        rows.append((fault, run, tuple(sorted(new))))
        text = ", ".join(sorted(new)) or "nothing"
        print(f"[{place + 1}/{len(faults)}] {fault.name}: {text} ({run.seconds:.0f} s)", flush=True)
    caught = sum(1 for _, _, new in rows if new)
    print(f"{caught} of {len(rows)} faults found")
    if options.write is not None:
        requests = sum(run.requests for _, run, _ in rows) // max(1, len(rows))
        lines = [f"{caught} of {len(rows)} found, about {requests:,} requests each.\n\n"]
        lines.append("| fault | kind | found by plain `schemathesis run` |\n|---|---|---|\n")
        lines += [
            f"| `{fault.name}` | {fault.kind} | {', '.join(new) or 'no'} |\n"
            for fault, _, new in rows
        ]
        options.write.write_text("".join(lines))
    return 0


def _chosen(names: list[str]) -> list[Fault]:
    if names:
        return [fault for fault in FAULTS if fault.name in names]
    first: dict[str, Fault] = {}
    for fault in FAULTS:
        first.setdefault(fault.kind, fault)
    return list(first.values())


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plain-schemathesis", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT")
    parser.add_argument("--examples", type=int, default=60, help="generated for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="where the table goes, as Markdown")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
