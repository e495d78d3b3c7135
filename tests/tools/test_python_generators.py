"""Python clients and models of third-party generators."""

from __future__ import annotations

import json
from pathlib import Path

from synth_pools.local import LocalBackend
from tests.support.document import EXAMPLES
from tests.tools.toolbox import HERE, SPEC, java, python_tool, run, run_against

PROGRAMS = HERE / "programs"


def test_the_client_of_openapi_generator_runs(tmp_path: Path, backend: LocalBackend) -> None:
    java()
    run(
        [
            *(str(python_tool("openapi-generator-cli")), "generate", "-i", str(SPEC)),
            *("-g", "python", "-o", "generated", "--package-name", "pools_api"),
        ],
        tmp_path,
    )
    printed = run_against(
        backend,
        [str(python_tool("python")), str(PROGRAMS / "generated_client.py")],
        tmp_path,
        PYTHONPATH=str(tmp_path / "generated"),
        # The feature `validate` is called like a method of the models' base class.
        PYTHONWARNINGS='ignore:Field name "validate"',
    )
    assert printed.splitlines() == [
        "active",
        "completed 0.75",
        "['from-openapi-generator']",
        "404 pool_not_found",
        "409 pool_exists",
    ]


def test_every_example_is_valid_for_the_models_of_datamodel_code_generator(tmp_path: Path) -> None:
    run(
        [
            *(str(python_tool("datamodel-codegen")), "--input", str(SPEC)),
            *("--input-file-type", "openapi", "--output", "models.py"),
            *("--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin"),
            *("--target-python-version", "3.11"),
        ],
        tmp_path,
    )
    examples = EXAMPLES
    assert sum(len(values) for values in examples.values()) > 50
    (tmp_path / "examples.json").write_text(json.dumps(examples))
    program = str(PROGRAMS / "validate_examples.py")
    command = [str(python_tool("python")), program, "examples.json"]
    environment = {"PYTHONPATH": str(tmp_path)}
    printed = run(command, tmp_path, environment=environment)
    assert printed.splitlines() == [f"{name}: valid" for name in examples]
    # An invalid value is refused.
    (tmp_path / "examples.json").write_text(json.dumps({"Pool": [{"name": 3}]}))
    run(command, tmp_path, environment=environment, status=1)
