"""The whole spec against the backend, by a tool that knows nothing but the spec."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.spec import spec_path
from tests.support.backend_server import KEY, Server
from tests.support.document import OPERATIONS

CONFIGURATION = """
seed = 1
base-url = "{url}"
headers = {{ Authorization = "Bearer {key}" }}
request-timeout = 20

[cache]
enabled = false

[warnings]
# A wrong key would answer 401 everywhere, which is documented everywhere.
fail-on = ["missing_auth"]

[generation]
max-examples = 15

# The backend builds no images and has no projects, and says so.
[[operations]]
include-operation-id-regex = "image_release|deployment"

[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "4xx", "501"]
ensure_resource_availability.enabled = false

# It takes the fields of a message for those of an event, which is the JSON in one of them.
[[operations]]
include-operation-id-regex = "^stream_"

[operations.checks]
response_schema_conformance.enabled = false

# A pool that was deleted stays to be read, archived, with all that happened in it; a task does not.
[[operations]]
include-operation-id-regex = "^(get|list|stream)_(?!.*task)"

[operations.checks]
use_after_free.enabled = false

# It would read a stream that has no end for as long as it waits for an answer. The contract kit
# reads those that have one.
[[operations]]
include-operation-id-regex = "^stream_pool_events$"
request-timeout = 2
parameters = {{ "query.format" = "json" }}

# Nobody answers at the addresses that it makes up for containers.
[[operations]]
include-operation-id-regex = "container"

[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502", "504"]
# A container that is there need not have everything that it can be asked for.
ensure_resource_availability.enabled = false
"""


PHASES = "examples,coverage,fuzzing,stateful"


# Each keyword of each schema at its limits takes a minute of a processor.
@pytest.mark.system
@pytest.mark.timeout(900)
def test_no_request_that_the_spec_describes_is_answered_otherwise(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    backend = start(default_timeout_seconds=5.0)
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(url=backend.url, key=KEY))
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "schemathesis.cli",
            f"--config-file={configuration}",
            "--no-color",
            "run",
            str(spec_path()),
            f"--phases={PHASES}",
            # How long it may take to make up examples says nothing about the backend.
            "--suppress-health-check=all",
            "--report=json",
            f"--report-json-path={report}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=880,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    actual: Any = json.loads(report.read_text())
    assert actual["complete"] is True
    assert actual["operations"]["tested"] == len(OPERATIONS)
    states = {phase: actual["phases"][phase]["status"] for phase in PHASES.split(",")}
    assert set(states.values()) == {"success"}, states
    assert actual["test_cases"]["generated"] > 3500
    # It came in, and got as far as results.
    assert backend.get("/v1/rollouts", params={"state": "completed"})["items"]
    # And what it left behind can still be read.
    for path in ("/v1/pools", "/v1/rollouts"):
        backend.get(path, params={"limit": 1000})
