"""Examples, run as a reader runs them: their output, and that they leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest

from tests.support.document import OPERATIONS
from tests.support.notebooks import execute

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT = 50.0
SVG = "{http://www.w3.org/2000/svg}"


class Surroundings:
    """Home, temporary directory and working directory of a single example."""

    def __init__(self, root: Path) -> None:
        self.home, self.temporary, self.work = (root / n for n in ("home", "tmp", "work"))
        for directory in (self.home, self.temporary, self.work):
            directory.mkdir()
        self.examples_before = self.example_files()

    @staticmethod
    def example_files() -> dict[str, int]:
        files = (path for path in EXAMPLES.rglob("*") if "__pycache__" not in path.parts)
        return {str(path): path.stat().st_mtime_ns for path in files}

    def popen(self, example: str, *words: str) -> subprocess.Popen[str]:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("SYNTH_")
        }
        return subprocess.Popen(
            [sys.executable, str(EXAMPLES / example), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.work,
            env=environment | {"HOME": str(self.home), "TMPDIR": str(self.temporary)},
            # In a new process group, by which all its child processes can be found.
            start_new_session=True,
        )

    def run(self, example: str, *words: str) -> str:
        return self.run_and_take(example, *words)[0]

    def run_and_take(
        self, example: str, *words: str, suffix: str | None = None
    ) -> tuple[str, dict[str, str]]:
        """Run an example; return its output and the expected files."""
        process = self.popen(example, *words)
        try:
            printed, errors = process.communicate(timeout=LIMIT)
            assert (process.returncode, errors) == (0, "")
            paths = [] if suffix is None else list(self.work.glob(f"*{suffix}"))
            texts = {str(path): path.read_text(encoding="utf-8") for path in paths}
            for path in paths:
                path.unlink()
            self.assert_nothing_is_left(process.pid)
        finally:
            end_group(process)
        return printed, texts

    def assert_nothing_is_left(self, group: int) -> None:
        assert not group_lives(group), "a process is left"
        remaining = [*self.home.iterdir(), *self.temporary.iterdir(), *self.work.iterdir()]
        assert remaining == []
        assert self.example_files() == self.examples_before


def group_lives(group: int, wait: float = LIMIT) -> bool:
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def end_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path)


def test_every_example_is_run_here() -> None:
    tests = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.*"):
        assert f'"{path.name}"' in tests, path.name


def test_quickstart(surroundings: Surroundings) -> None:
    assert surroundings.run("quickstart.py").splitlines() == [
        "1 rollout.queued",
        "2 rollout.started",
        "3 agent",
        "4 agent",
        "5 agent",
        "6 reward",
        "7 rollout.completed",
        "completed with reward 0.75",
    ]


def test_quickstart_is_what_the_readme_shows() -> None:
    program = (EXAMPLES / "quickstart.py").read_text().partition('"""\n\n')[2]
    assert program in (EXAMPLES.parent / "README.md").read_text()


def test_async_quickstart(surroundings: Surroundings) -> None:
    lines = surroundings.run("async_quickstart.py").splitlines()
    for seed in range(10):
        events = [line.partition(": ")[2] for line in lines if line.startswith(f"seed {seed}:")]
        assert events == [
            "rollout.queued",
            "rollout.started",
            "agent",
            "reward",
            "rollout.completed",
        ]
    assert re.fullmatch(r"mean reward 0\.45\d*", lines[-1])
    # Concurrently, not in sequence.
    first_end = next(at for at, line in enumerate(lines) if line.endswith("rollout.completed"))
    assert sum(line.endswith("rollout.started") for line in lines[:first_end]) > 1


def test_demo(surroundings: Surroundings) -> None:
    printed = surroundings.run("demo.py")
    times = [float(number) for number in re.findall(r"^ +(\d+\.\d\d) s  ", printed, re.MULTILINE)]
    assert times == sorted(times)
    # Live: the start of the first rollout is printed before the end of the last.
    assert times[-1] - times[0] > 0.3
    rows = re.findall(r"^  seed (\d) +(\w+) +(\w+) +([\d.-]+) +([\d.]+)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == [str(seed) for seed in range(9)]
    assert [row[2] for row in rows] == ["cancelled"] + ["completed"] * 8
    assert rows[0][3] == "-"
    assert len({float(row[3]) for row in rows[1:]}) > 1
    assert '"completed_rollouts": 8' in printed
    assert '"cancelled_rollouts": 1' in printed
    assert '"last_event"' in printed


def test_the_demo_leaves_nothing_when_it_is_interrupted(surroundings: Surroundings) -> None:
    process = surroundings.popen("demo.py")
    try:
        assert process.stdout is not None
        while "rollout.started" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        assert (process.returncode, errors) == (130, "")
        surroundings.assert_nothing_is_left(process.pid)
    finally:
        end_group(process)


def test_the_container_ends_with_its_standard_input(surroundings: Surroundings) -> None:
    process = surroundings.popen("container.py")
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.stdin.close()
        assert process.wait(LIMIT) == 0
        surroundings.assert_nothing_is_left(process.pid)
    finally:
        end_group(process)


def test_evaluation(surroundings: Surroundings) -> None:
    printed, plots = surroundings.run_and_take("evaluate.py", "12", suffix=".svg")
    rows = re.findall(
        r"^(bisect|random) +12 +([01]\.\d{3}) +(\d\.\d{3}) +0$", printed, re.MULTILINE
    )
    assert [name for name, *_ in rows] == ["bisect", "random"]
    [path] = re.findall(r"^plot: (.+)$", printed, re.MULTILINE)
    image = ElementTree.fromstring(plots[path])
    for name, mean, _ in rows:
        [group] = [element for element in image.iter(f"{SVG}g") if element.get("id") == name]
        counts, heights = [], []
        for bar in group.iter(f"{SVG}rect"):
            title = re.fullmatch(rf"{name} \d\.\d: (\d+)", bar.findtext(f"{SVG}title", ""))
            assert title is not None
            counts.append(int(title[1]))
            heights.append(float(bar.get("height", "")))
        assert (len(counts), sum(counts)) == (11, 12)
        assert heights == pytest.approx([count * sum(heights) / 12 for count in counts], abs=0.01)
        drawn_mean = sum(step / 10 * count for step, count in enumerate(counts)) / 12
        assert abs(drawn_mean - float(mean)) <= 0.0501


@pytest.mark.parametrize("name", ["own_container.py", "words.py"])
def test_a_container_of_ones_own(surroundings: Surroundings, name: str) -> None:
    assert surroundings.run(name).splitlines() == [
        "completed with reward 0.7",
        "text.txt b'word word word word word word word '",
    ]


@pytest.mark.system
def test_sweep(surroundings: Surroundings) -> None:
    printed = surroundings.run("sweep.py", "3", "4")
    rows = re.findall(
        r"^(bisect|random) +(\d+) +(\d\.\d+) +(\d\.\d+)  (.+)$", printed, re.MULTILINE
    )
    assert [(name, seed) for name, seed, *_ in rows] == [
        (name, str(seed)) for name in ("bisect", "random") for seed in range(3)
    ]
    for name, _, _, deviation, cells in rows:
        advantages = [float(value) for value in cells.split()]
        assert len(advantages) == 4
        assert abs(sum(advantages)) < 0.05
        if name == "bisect":
            # Each repeat makes the same guesses.
            assert float(deviation) == 0
            assert not any(advantages)
    learns = sum(any(float(advantage) for advantage in cells.split()) for *_, cells in rows)
    assert f"{learns} of 6 groups have anything to learn from" in printed


@pytest.mark.system
def test_a_killed_fleet_goes_on(surroundings: Surroundings) -> None:
    printed = surroundings.run("resume.py", "12")
    [(restored, new)] = re.findall(r"(\d+) outcomes from the journal, (\d+) new ones", printed)
    assert int(restored) >= 3
    assert int(restored) + int(new) == 12
    assert "The backend ran 12 rollouts for 12 seeds." in printed


@pytest.mark.system
def test_a_web_service(surroundings: Surroundings) -> None:
    lines = [json.loads(line) for line in surroundings.run("web_service.py", "6").splitlines()]
    assert sorted(line["seed"] for line in lines) == list(range(6))
    assert {line["status"] for line in lines} == {"completed"}
    assert all(0 <= line["reward"] <= 1 for line in lines)


@pytest.mark.system
def test_contract_tests_in_a_suite(tmp_path: Path) -> None:
    completed = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "--rootdir",
                tmp_path,
            ),
            *("--junit-xml", tmp_path / "junit.xml", EXAMPLES / "contract_in_ci.py"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=150,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    operations = re.findall(r'name="test_contract\[(\w+)\]"', (tmp_path / "junit.xml").read_text())
    assert sorted(operations) == sorted(OPERATIONS)


@pytest.mark.system
def test_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDS", "12")
    notebook: Any = nbformat.reads((EXAMPLES / "notebook.ipynb").read_text(), as_version=4)  # type: ignore[no-untyped-call]
    # The notebook has no output.
    assert not any(cell.get("outputs") for cell in notebook.cells)
    execute(notebook, EXAMPLES, seconds=60)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("12 completed" in output.get("text", "") for output in outputs)
    [plot] = [
        output["data"]["image/svg+xml"]
        for output in outputs
        if "image/svg+xml" in output.get("data", {})
    ]
    assert plot.count("<rect") == 11
