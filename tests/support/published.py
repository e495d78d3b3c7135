"""Drive published releases of synth-ai, in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.surface import Call

# Releases with the client that ours takes the place of, the last one first.
ANCESTORS = ("0.17.4", "0.16.1", "0.11.6")
# The last release that knew container pools.
LAST = "0.22.1"
# The packages of each release, and a Python with what they need.
PACKAGES = Path(__file__).resolve().parents[2] / ".venv-published"
_DRIVER = Path(__file__).with_name("published_driver.py")
_COMMANDS = """
import json, sys
from click.testing import CliRunner
from synth_ai.cli.pools import pools

rollout_id, answers = "", []
for words in json.load(sys.stdin):
    done = CliRunner().invoke(pools, [rollout_id if word == "ROLLOUT" else word for word in words])
    assert done.exit_code == 0, (words, done.output, done.exception)
    answers.append(json.loads(done.output))
    rollout_id = answers[-1].get("rollout_id", rollout_id)
json.dump(answers, sys.stdout)
"""
# Beginnings of variables that the published SDK reads as well, or that would lead it away from the
# loopback interface.
_OTHER_SETTINGS = ("SYNTH_", "PROD_", "DEV_", "ENVIRONMENT", "APP_ENVIRONMENT", "RAILWAY_", "ENV")


def drive(
    settings: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    calls: Iterable[Call],
    *,
    environment: Mapping[str, str] | None = None,
    release: str = ANCESTORS[0],
) -> list[Any]:
    """Make the calls with a published client for each of the settings.

    Args:
        settings: The keyword arguments of a client, or of several.
        calls: The calls that each client makes.
        environment: Environment variables to add.
        release: The release of synth-ai; one of requirements/published-releases.txt.

    Returns:
        The values that the calls returned, models as dictionaries, and the errors that they raised,
        as `published_driver.describe` describes them.
    """
    call_list = [
        {"name": c.name, "args": c.args, "kwargs": c.kwargs, "stream": c.is_stream} for c in calls
    ]
    item = [settings] if isinstance(settings, Mapping) else settings
    orders = [{"settings": dict(keywords), "calls": call_list} for keywords in item]
    returned: list[Any] = run_python([str(_DRIVER)], orders, environment or {}, release)["returned"]
    return returned


def run_commands(
    commands: Sequence[Sequence[str]], *, environment: Mapping[str, str], folder: Path
) -> list[Any]:
    """Run `synth-ai pools` with each list of words, and return the JSON that it prints.

    The word ROLLOUT is replaced by the id of the last rollout.
    """
    answers: list[Any] = run_python(["-c", _COMMANDS], commands, environment, ANCESTORS[0], folder)
    return answers


def run_python(
    arguments: Sequence[str],
    text: Any,
    environment: Mapping[str, str],
    release: str,
    folder: Path | None = None,
) -> Any:
    """Run Python with a release.

    Args:
        arguments: Those of the interpreter.
        text: A value to pass on as JSON at standard input.
        environment: Environment variables to add.
        release: The release of synth-ai.
        folder: The current folder.

    Returns:
        The value that it prints as JSON.
    """
    if not (PACKAGES / release).exists():
        raise RuntimeError(f"{PACKAGES / release} is missing: `make test ARGS=FILE` makes it")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OTHER_SETTINGS) and not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [str(PACKAGES / "bin/python"), "-P", *arguments],
        input=json.dumps(text),
        env={**clean, "PYTHONPATH": str(PACKAGES / release), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
