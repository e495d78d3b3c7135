"""TypeScript clients of four generators, compiled by `tsc --strict` and run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from synth_pools.local import LocalBackend
from tests.support.document import OPERATIONS
from tests.tools.toolbox import (
    HERE,
    SPEC,
    code_blocks,
    compile_typescript,
    node_command,
    python_tool,
    run,
    run_against,
)

PROGRAMS = HERE / "programs"
NODE = "node"


def typed_api(folder: Path) -> None:
    run(
        [
            *node_command("openapi-typescript/bin/cli.js"),
            str(SPEC),
            "-o",
            "api.d.ts",
            "--default-non-nullable=false",
        ],
        folder,
    )


def test_the_program_of_the_page_runs_with_openapi_typescript_and_openapi_fetch(
    tmp_path: Path, backend: LocalBackend
) -> None:
    (program, printed) = (
        code_blocks("docs/other-languages.md", "ts")[0],
        code_blocks("docs/other-languages.md", "text")[0],
    )
    (tmp_path / "pools.ts").write_text(program)
    typed_api(tmp_path)
    compile_typescript(tmp_path, "pools.ts")
    node = str(python_tool(NODE))
    assert run_against(backend, [node, "out/pools.js"], tmp_path) == printed


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("taken.error?.error?.code", "taken.error?.error?.code.toFixed()", "TS2339|TS2551"),
        ('name: "from TypeScript"', 'name: "from TypeScript", capacity: "many"', "TS2322"),
        ('mode: "sync"', 'mode: "sinc"', "TS2322"),
        ('"Idempotency-Key"', '"Idempotency-Kay"', "TS2353"),
        ('"/v1/pools/{pool_id}/rollouts"', '"/v1/pools/{pool_id}/rollout"', "TS2345"),
    ],
)
def test_the_compiler_sees_what_the_document_rules_out(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    program = code_blocks("docs/other-languages.md", "ts")[0]
    assert before in program
    (tmp_path / "pools.ts").write_text(program.replace(before, after))
    typed_api(tmp_path)
    with pytest.raises(AssertionError, match=message):
        compile_typescript(tmp_path, "pools.ts")


def test_hey_api_streams_typed_events(tmp_path: Path, backend: LocalBackend) -> None:
    shutil.copy(SPEC, tmp_path)
    (config,) = code_blocks("docs/other-languages.md", "js")
    (tmp_path / "openapi-ts.config.mjs").write_text(config)
    run([*node_command("@hey-api/openapi-ts/bin/run.js"), "--no-log-file"], tmp_path)
    shutil.copy(PROGRAMS / "events.ts", tmp_path)
    compile_typescript(tmp_path, "events.ts")
    printed = run_against(backend, [str(python_tool(NODE)), "out/events.js"], tmp_path)
    types = [line.split()[1] for line in printed.splitlines()]
    assert [line.split()[0] for line in printed.splitlines()] == [
        str(number) for number in range(1, len(types) + 1)
    ]
    assert types[:2] == ["rollout.queued", "rollout.started"]
    assert types.count("agent") == 3
    assert types[-1] == "rollout.completed"


def test_hey_api_still_needs_to_be_told_which_answers_are_streams(tmp_path: Path) -> None:
    """If this fails, the page no longer needs to describe the patch of the document."""
    shutil.copy(SPEC, tmp_path)
    (config,) = code_blocks("docs/other-languages.md", "js")
    unpatched, patch_count = re.subn(
        r"^  parser: {\n.*?^  },\n", "", config, flags=re.DOTALL | re.MULTILINE
    )
    assert patch_count == 1
    (tmp_path / "openapi-ts.config.mjs").write_text(unpatched)
    run([*node_command("@hey-api/openapi-ts/bin/run.js"), "--no-log-file"], tmp_path)
    shutil.copy(PROGRAMS / "events.ts", tmp_path)
    with pytest.raises(AssertionError, match="Property 'stream' does not exist"):
        compile_typescript(tmp_path, "events.ts")


def test_hey_api_is_told_of_every_stream_of_the_document() -> None:
    (config,) = code_blocks("docs/other-languages.md", "js")
    streamed = set(re.findall(r'"(GET \S+)": streamed', config))
    assert streamed == {
        f"{operation.method.upper()} {operation.path}"
        for operation in OPERATIONS.values()
        if "text/event-stream" in operation.node["responses"].get("200", {}).get("content", {})
    }


def test_orval_compiles(tmp_path: Path) -> None:
    run(
        [
            *node_command("orval/dist/bin/orval.mjs"),
            *("--input", str(SPEC), "--output", "pools_api.ts", "--client", "fetch"),
        ],
        tmp_path,
    )
    compile_typescript(tmp_path, "pools_api.ts")
    assert "createRollout" in (tmp_path / "out/pools_api.js").read_text()


def test_oazapfts_compiles_and_runs(tmp_path: Path, backend: LocalBackend) -> None:
    """It writes the key of each response as it is in a type: `5XX` would be none."""
    run([*node_command("oazapfts/dist/cli.js"), str(SPEC), "pools_api.ts"], tmp_path)
    shutil.copy(PROGRAMS / "oazapfts.ts", tmp_path)
    compile_typescript(tmp_path, "oazapfts.ts")
    printed = run_against(backend, [str(python_tool(NODE)), "out/oazapfts.js"], tmp_path)
    assert printed.splitlines() == ["completed 0.75", "404 pool_not_found"]
