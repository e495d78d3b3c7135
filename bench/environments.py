"""Episodes of frameworks on a pool next to the framework alone, and the way to the first hundred.

python -m bench.environments [--only KIND] [--rounds N] [--fresh] [--write FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import TextIO

import psutil

from bench import table
from synth_pools.environments.kinds import KINDS
from synth_pools.environments.pythons import NotInstalledError, find_python
from tests.support.scripted_models import ScriptedModels

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / "tests" / "environments"
_COUNT = 100
# Turns of both sides, one after the other; the first one is not counted.
_TURNS, _TURN_COUNT = 15, 50
_LIMIT_MS = 5.0
_HEAD = (
    "100 episodes of",
    "on a pool",
    "alone",
    "processor time on a pool",
    "alone",
    "an episode more",
    "aim",
)
_PAGE = """\
# Environments on a pool next to the framework alone

`python -m bench.environments` plays episodes of each framework: by `synth-pools env run` with one
process of the environment, from the start of the program to its end, with backend and table; and by
the calls of the framework's users in its own Python, imports included
(`bench/framework_alone.py`). Processor time is that of all processes of a side; the model is a
scripted server, and belongs to neither. "An episode more" is what an episode on the pool costs
beyond one of the framework: a backend with one process of the environment and a fleet
(`bench/framework_on_pool.py`) and the framework alone play 50 episodes each in turns, of which the
first is not counted, both without a file left behind, and what follows the sign is the standard
error of their differences.
Inspect is asked for one sample at a time on both sides, as a queue does; an evaluation of
all samples at once is several times as fast. Alone it draws a table of each evaluation, also
where it is told to display nothing, and the container does not: an episode on the pool can cost
less.

"""


@dataclass(frozen=True)
class Case:
    """Episodes of a framework, by the words of `env run`."""

    subject: str
    words: Sequence[str]
    folder: Path = _FOLDER


_ACTIONS = '{"actions": [{"number": 9}, {"number": 5}, {"number": 7}]}'
_CASES: Mapping[str, Case] = {
    "gymnasium": Case(
        "CartPole-v1, random actions",
        ["gymnasium:CartPole-v1", "--seeds", "0..{last}", "--policy", "random"],
    ),
    "inspect": Case(
        "a sample with one call of the model",
        ["inspect:sums/tasks.py@sums", "--task", "2", "--repeats", "{count}", "--model", "say:4"],
    ),
    "verifiers": Case(
        "a task with one call of the model",
        ["verifiers:guesses", "--task", "g2", "--repeats", "{count}", "--model", "say:2"],
        _FOLDER / "guesses",
    ),
    "openenv": Case(
        "three steps at a server in a folder",
        ["openenv:guessing", "--seeds", "7..7", "--repeats", "{count}", "--policy", _ACTIONS],
    ),
    "harbor": Case(
        "the oracle, in a folder as sandbox",
        [
            *("harbor:tasks", "--task", "hello", "--repeats", "{count}", "--agent", "oracle"),
            "env.environment=harbor_parts:LocalEnvironment",
        ],
    ),
}


def _measured(
    command: Sequence[str], folder: Path = _ROOT, **variables: str
) -> tuple[float, float]:
    """Run a command; return its seconds by the clock and by the processors."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{command}:\n{done.stdout}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def _row(kind: str, python: Path, models: str, rounds: int) -> tuple[str, ...]:
    case = _CASES[kind]

    def on_pool(count: int) -> tuple[float, float]:
        places = {"{count}": str(count), "0..{last}": f"0..{count - 1}"}
        words = [places.get(word, word) for word in case.words]
        server = ["--model-url", models] if "--model" in words else []
        command = [sys.executable, "-m", "synth_pools", "env", "run", *words, *server]
        return _measured([*command, "--replicas", "1"], case.folder, PYTHONPATH=str(_ROOT))

    def alone(count: int) -> tuple[float, float]:
        program = str(Path(__file__).with_name("framework_alone.py"))
        return _measured([str(python), "-P", program, kind, str(count), models])

    # In turns, so that both have the same neighbours.
    runs = [[play(_COUNT) for play in (on_pool, alone)] for _ in range(rounds)]
    sides = list(zip(*runs, strict=True))
    seconds = [f"{median(item[0] for item in side):.1f} s" for side in sides]
    used = [f"{median(item[1] for item in side):.1f} s" for side in sides]
    subject = f"{kind}: {case.subject}"
    return subject, *seconds, *used, _more(kind, python, models), f"≤ {_LIMIT_MS:g} ms"


def _more(kind: str, python: Path, models: str) -> str:
    """Measure by how much an episode on a pool costs more than alone."""
    on_pool = [sys.executable, "-m", "bench.framework_on_pool", kind, models]
    program = str(Path(__file__).with_name("framework_alone.py"))
    alone = [str(python), "-P", program, kind, "0", models]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(on_pool, cwd=_ROOT, stdin=-1, stdout=-1, stderr=log, text=True) as ours,
        subprocess.Popen(alone, cwd=_ROOT, stdin=-1, stdout=-1, stderr=log, text=True) as theirs,
    ):
        turns = [[_turn_ms(side, log) for side in (ours, theirs)] for _ in range(_TURNS)]
    more = [on_pool_ms - alone_ms for on_pool_ms, alone_ms in turns[1:]]
    return f"{mean(more):.1f} ± {stdev(more) / len(more) ** 0.5:.1f} ms"


def _turn_ms(side: subprocess.Popen[str], log: TextIO) -> float:
    """Have a side play its turn; return the processor time of an episode in milliseconds."""
    assert side.stdin is not None
    assert side.stdout is not None
    before = _processor_seconds(side.pid)
    side.stdin.write(f"{_TURN_COUNT}\n")
    side.stdin.flush()
    if not side.stdout.readline():
        log.seek(0)
        sys.exit(f"{side.args!r}:\n{log.read()}")
    return (_processor_seconds(side.pid) - before) / _TURN_COUNT * 1000


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process, its children and theirs."""
    process, seconds = psutil.Process(pid), 0.0
    for item in (process, *process.children(recursive=True)):
        # A child that ends meanwhile counts to its parent.
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds += sum(item.cpu_times()[:4])
    return seconds


def _fresh() -> str:
    """Install from the checkout into an empty folder, and run; return the seconds as a sentence."""
    words = "synth-pools env run gymnasium:CartPole-v1 --seeds 0..99 --policy random"
    with tempfile.TemporaryDirectory() as folder:
        home = {"HOME": folder, "XDG_CONFIG_HOME": "", "PIP_NO_CACHE_DIR": "1"}
        make, _ = _measured([sys.executable, "-m", "venv", "env"], Path(folder), **home)
        extras = f"{_ROOT}[local,gymnasium]"
        pip = ["env/bin/pip", "install", "--quiet", "--disable-pip-version-check", extras]
        install, _ = _measured(pip, Path(folder), **home)
        program = ["env/bin/synth-pools", *words.split()[1:]]
        run, _ = _measured(program, Path(folder), **home)
    return (
        "From an empty folder and without a cache, `pip install 'synth-pools[local,gymnasium]'` "
        f"took {install:.1f} s, into an environment that took {make:.1f} s to make, and `{words}` "
        f"took {run:.1f} s: {make + install + run:.1f} s of 60 s, and {run:.1f} s of 10 s.\n"
    )


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.environments", description=__doc__)
    parser.add_argument("--only", choices=list(_CASES), action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="the way to the first episodes, too")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    rows, releases = [], []
    with ScriptedModels() as models:
        for kind in options.only or _CASES:
            try:
                framework = find_python(KINDS[kind])
            except NotInstalledError as error:
                print(error, file=sys.stderr)
                continue
            rows.append(_row(kind, framework.path, models.base_url, options.rounds))
            print(*rows[-1], sep=" | ", file=sys.stderr)
            releases.append(f"{kind} {framework.release}")
    load = os.getloadavg()[1]
    rounds = "One round" if options.rounds == 1 else f"Medians of {options.rounds} rounds"
    text = f"{table.render(rows, _HEAD)}\n\n{rounds} on "
    text += f"{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} processors with a load of {load:.1f}, "
    text += f"Python {platform.python_version()}, {', '.join(releases)}.\n"
    if options.fresh:
        text += f"\n{_fresh()}"
    print(text)
    if options.write is not None:
        options.write.write_text(_PAGE + text)


if __name__ == "__main__":
    _main()
