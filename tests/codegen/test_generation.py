"""`make generate`: the same bytes everywhere, all or nothing, and failures with their place."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import generate, tree
from codegen.parts import join_parts

REPO = Path(__file__).parents[2]

SMALL_SPEC = """\
openapi: 3.1.0
info: {title: Small, version: 1.0.0}
paths:
  /things:
    get:
      operationId: list_things
      tags: [things]
      responses:
        '200':
          description: All of them.
          content:
            application/json:
              schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}
              example: [{name: it}]
    post:
      operationId: create_thing
      tags: [things]
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Thing'}
            example: {name: it}
      responses:
        '201': {description: Made.}
components:
  schemas:
    Thing:
      type: object
      properties:
        name: {type: string}
"""

ASYNC_SOURCE = '''\
"""Written as async."""

import asyncio


async def nap(seconds: float) -> None:
    """Use it as `await nap(1)`."""
    await asyncio.sleep(seconds)
'''


def run(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Generate in this process, since loading the generator takes most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = generate.main(["--root", str(root), *options])
    return subprocess.CompletedProcess([], status, out.getvalue(), err.getvalue())


def run_alone(root: Path, *options: str, cwd: Path, **environment: str) -> str:
    """Generate in a new process, which has to succeed; return its output."""
    completed = subprocess.run(
        [sys.executable, str(REPO / "codegen/generate.py"), "--root", str(root), *options],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    return completed.stdout


def make_root(folder: Path, spec: str) -> Path:
    """Create a repository with the files that the generation reads."""
    for name in ("generator_config.yml", "pyproject.toml"):
        shutil.copy(REPO / name, folder / name)
    shutil.copytree(REPO / "codegen/templates", folder / "codegen/templates")
    (folder / "api").mkdir()
    (folder / "api/openapi.yaml").write_text(spec, encoding="utf-8")
    (folder / "synth_pools/_client/_async").mkdir(parents=True)
    (folder / "synth_pools/_client/_async/nap.py").write_text(ASYNC_SOURCE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def generated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("generated"), SMALL_SPEC)
    completed = run(root)
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")
    return root


@pytest.fixture
def generated(generated_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(generated_once, tmp_path / "root")


@pytest.mark.system
def test_neither_folder_nor_home_nor_hash_seed_nor_locale_decides_the_bytes(tmp_path: Path) -> None:
    spec = join_parts(REPO).body
    (tmp_path / "one").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/pyproject.toml").write_text("[tool.ruff]\nline-length = 40\n")
    (tmp_path / "home/ruff.toml").write_text("line-length = 40\n")
    nested = tmp_path / "home/deep/two"
    nested.mkdir(parents=True)
    first_root, second_root = make_root(tmp_path / "one", spec), make_root(nested, spec)
    for root in (first_root, second_root):
        shutil.copy(REPO / "api/overlay.yaml", root / "api/overlay.yaml")

    first = run_alone(first_root, cwd=first_root, PYTHONHASHSEED="1", LC_ALL="C", PYTHONUTF8="0")
    second = run_alone(
        second_root,
        cwd=Path("/"),
        PYTHONHASHSEED="2",
        HOME=str(tmp_path / "home"),
        XDG_CONFIG_HOME=str(tmp_path / "home"),
        RUFF_LINE_LENGTH="40",
        LC_ALL="C.UTF-8",
    )

    assert (first, second) == ("", "")
    assert tree.files(first_root / "generated") == tree.files(second_root / "generated")
    assert tree.files(first_root / "synth_pools/_client/_sync") == tree.files(
        second_root / "synth_pools/_client/_sync"
    )
    assert tree.files(first_root / "generated/synth_pools_api") == tree.files(
        REPO / "generated/synth_pools_api"
    )


def test_a_second_run_changes_nothing_and_leaves_nothing_behind(generated: Path) -> None:
    before = tree.files(generated)
    assert run(generated).returncode == 0
    assert tree.files(generated) == before
    assert not list(generated.glob(".generate-*"))


def test_files_of_an_older_run_do_not_stay(generated: Path) -> None:
    stale = generated / "generated/synth_pools_api/models/gone.py"
    shutil.copy(stale.parent / "thing.py", stale)
    sync = generated / "synth_pools/_client/_sync"
    shutil.copy(sync / "nap.py", sync / "gone.py")
    assert run(generated).returncode == 0
    assert not stale.exists()
    assert not (sync / "gone.py").exists()


def test_the_types_count(generated: Path) -> None:
    assert (generated / "generated/synth_pools_api/py.typed").exists()


def test_what_may_be_null_is_read_so_and_what_a_body_is_made_of_has_a_type(tmp_path: Path) -> None:
    spec = SMALL_SPEC.replace(
        "        name: {type: string}\n",
        """\
        name: {type: string}
        must: {anyOf: [{type: string}, {type: 'null'}]}
        count: {anyOf: [{type: integer}, {type: 'null'}]}
        parts: {type: array, items: {$ref: '#/components/schemas/Part'}}
      required: [must]
    Part:
      description: A part.
      type: object
      properties:
        size: {type: integer, description: Its size.}
""",
    )
    package = make_root(tmp_path, spec) / "generated/synth_pools_api"
    completed = run(tmp_path)
    assert (completed.returncode, completed.stderr) == (0, "")
    model = (package / "models/thing.py").read_text()
    assert model.count("from ..reading import read_integer, read_optional, read_text\n") == 1
    assert 'must = read_optional(d.pop("must", None), read_text, "must")\n' in model
    assert 'count = read_optional(d.pop("count", UNSET), read_integer, "count")\n' in model
    requests = (package / "requests.py").read_text()
    assert "class PartDict(" in requests
    assert "class ThingDict(" in requests


def test_an_operation_has_a_typed_form_without_anyone_writing_it(generated: Path) -> None:
    typed = generated / "generated/synth_pools_api/typed"
    async_form = (typed / "_async/things.py").read_text()
    assert "async def list_things(self) -> list[Thing]:" in async_form
    assert "async def create_thing(self, *, body: Thing) -> Any:" in async_form
    sync_form = (typed / "_sync/things.py").read_text()
    assert "def list_things(self) -> list[Thing]:" in sync_form
    assert "async" not in sync_form


def test_an_answer_of_bytes_has_a_typed_form_too(generated: Path) -> None:
    spec = SMALL_SPEC.replace("application/json", "application/zip", 1).replace(
        "{type: array, items: {$ref: '#/components/schemas/Thing'}}",
        "{type: string, format: binary}",
    )
    (generated / "api/openapi.yaml").write_text(spec, encoding="utf-8")
    completed = run(generated)
    assert completed.returncode == 0, completed.stderr
    typed = (generated / "generated/synth_pools_api/typed/_async/things.py").read_text()
    assert "async def list_things(self) -> bytes:" in typed
    assert "self._calls.content(" in typed


BROKEN = {
    "not YAML": ("openapi: [", "openapi.yaml", "not YAML"),
    "not a mapping": ("- a\n- b\n", "openapi.yaml:1", "no object"),
    "not OpenAPI": ("title: x\n", "openapi.yaml", "openapi"),
    "a status range in lower case": (
        SMALL_SPEC.replace("'201'", "4xx"),
        "openapi.yaml:25: create_thing",
        "4xx is no status: write each status, and a class of them as 5XX",
    ),
    "a schema that conflicts with another": (
        SMALL_SPEC.replace("name: {type: string}", "name: {type: string, enum: [a, b]}")
        + "    ThingName: {type: object, properties: {a: {type: string}}}\n",
        "openapi.yaml:28: components.schemas.Thing",
        "conflicting enums named ThingName",
    ),
    "a reference to nothing": (
        SMALL_SPEC.replace("items: {$ref: '#/components/schemas/Thing'}", "items: {$ref: '#/x/Y'}"),
        "openapi.yaml:13",
        "leads nowhere: # has no 'x': add it there, or remove the reference",
    ),
    "a schema that cannot be": (
        SMALL_SPEC.replace("name: {type: string}", "name: {type: array}"),
        "openapi.yaml:31: components.schemas.Thing.name",
        "a list without items: write items: with their schema",
    ),
    "a schema without a type": (
        SMALL_SPEC.replace("name: {type: string}", "name: {description: Its name.}"),
        "openapi.yaml:31",
        "components.schemas.Thing.name has no type: write 'type: string'",
    ),
    "an operation without an example": (
        SMALL_SPEC.replace("              example: [{name: it}]\n", ""),
        "openapi.yaml:12",
        "list_things: responses/200/content has no example: write 'examples:'",
    ),
    "a method without answers": (
        SMALL_SPEC.replace("      responses:\n        '201': {description: Made.}\n", ""),
        "create_thing",
        "its responses have no success: write one, as '200'",
    ),
    "an answer of two types": (
        SMALL_SPEC.replace(
            "'201': {description: Made.}",
            "'200':\n          description: One.\n"
            "          content: {application/json: {schema: {type: string}, example: a}}\n"
            "        '201': {description: Made.}",
        ),
        "create_thing",
        "its successful answers differ",
    ),
    "events without a schema": (
        SMALL_SPEC.replace("application/json", "text/event-stream", 1).replace(
            "{type: array, items: {$ref: '#/components/schemas/Thing'}}",
            "{type: string, format: binary}",
        ),
        "list_things",
        "a schema without a name: write its schema in components/schemas, and $ref here",
    ),
    "events and pages without a name for these": (
        SMALL_SPEC.replace(
            "application/json:\n"
            "              schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}\n"
            "              example: [{name: it}]",
            "text/event-stream: {schema: {$ref: '#/components/schemas/Thing'}, example: a}\n"
            "            application/json:\n"
            "              schema: {$ref: '#/components/schemas/Thing'}\n"
            "              example: {name: it}",
        ),
        "list_things",
        "answers a stream and JSON, and has no x-json-method",
    ),
    "one operationId twice": (
        SMALL_SPEC.replace("create_thing", "list_things"),
        "POST /things",
        "also that of GET /things",
    ),
    "no operationId": (
        SMALL_SPEC.replace("      operationId: create_thing\n", ""),
        "POST /things",
        "no operationId",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_failure_is_one_line_that_says_where_and_changes_nothing(
    generated: Path, case: str
) -> None:
    spec, where, message = BROKEN[case]
    (generated / "api/openapi.yaml").write_text(spec, encoding="utf-8")
    before = tree.files(generated)

    completed = run(generated)

    assert completed.returncode == 1
    assert completed.stdout == ""
    assert len(completed.stderr.splitlines()) == 1, completed.stderr
    assert where in completed.stderr
    assert message in completed.stderr
    assert "0x" not in completed.stderr
    assert tree.files(generated) == before
    assert not list(generated.glob(".generate-*"))


def test_a_missing_spec_is_one_line(generated: Path) -> None:
    (generated / "api/openapi.yaml").unlink()
    before = tree.files(generated)
    completed = run(generated)
    assert completed.returncode == 1
    assert completed.stderr == (
        f"generate: {generated / 'api/openapi.yaml'}: No such file or directory; "
        "write this part of the document there\n"
    )
    assert tree.files(generated) == before


def test_a_misspelt_setting_is_an_error(generated: Path) -> None:
    with (generated / "generator_config.yml").open("a") as config:
        config.write("literal_enum: true\n")
    completed = run(generated)
    assert completed.returncode == 1
    assert "generator_config.yml: unknown setting: literal_enum" in completed.stderr


def test_what_has_no_sync_form_is_an_error_and_changes_nothing(generated: Path) -> None:
    source = "import asyncio\n\n\nasync def f() -> None:\n    await asyncio.gather()\n"
    (generated / "synth_pools/_client/_async/nap.py").write_text(source)
    (generated / "api/openapi.yaml").write_text(SMALL_SPEC.replace("things", "others"))
    before = tree.files(generated)

    completed = run(generated)

    assert completed.returncode == 1
    assert completed.stderr == (
        "generate: synth_pools/_client/_async/nap.py: no sync form known for: asyncio.gather()\n"
    )
    assert tree.files(generated) == before


def test_check_is_silent_where_all_is_well(generated: Path) -> None:
    completed = run(generated, "--check")
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


def test_check_names_what_differs_and_writes_nothing(generated: Path) -> None:
    client = generated / "generated/synth_pools_api"
    with (generated / "openapi.yaml").open("a") as document:
        document.write("# edited\n")
    (client / "types.py").write_text("edited = True\n")
    (client / "api/things/list_things.py").unlink()
    (client / "models/stale.py").write_text("x = 1\n")
    (generated / "synth_pools/_client/_sync/nap.py").write_text("edited = True\n")
    before = tree.files(generated)

    completed = run(generated, "--check")

    assert completed.returncode == 1
    assert completed.stderr.splitlines() == [
        "differs: openapi.yaml",
        "differs: generated/synth_pools_api/types.py",
        "missing: generated/synth_pools_api/api/things/list_things.py",
        "extra:   generated/synth_pools_api/models/stale.py",
        "differs: synth_pools/_client/_sync/nap.py",
        "generate: not up to date; run `make generate`",
    ]
    assert tree.files(generated) == before


@pytest.mark.parametrize("name", ["api/openapi.yaml", "generator_config.yml", "codegen/templates"])
def test_check_sees_a_change_of_every_input(generated: Path, name: str) -> None:
    path = generated / name
    if path.is_dir():
        template = path / "literal_enum.py.jinja"
        template = path / "endpoint_init.py.jinja"
        template.write_text(template.read_text() + "\nchanged = True\n")
    elif name == "api/openapi.yaml":
        path.write_text(path.read_text().replace("list_things", "list_all_things"))
    else:
        path.write_text(path.read_text() + "docstrings_on_attributes: true\n")
    assert run(generated, "--check").returncode == 1


def test_bytecode_is_no_difference(generated: Path) -> None:
    cache = generated / "generated/synth_pools_api/__pycache__"
    cache.mkdir()
    (cache / "types.cpython-311.pyc").write_bytes(b"x")
    assert run(generated, "--check").returncode == 0


def test_a_swap_that_fails_puts_the_old_tree_back(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").write_text("old")
    with pytest.raises(FileNotFoundError):
        tree.swap(tmp_path / "not there", target, attic=tmp_path / "attic")
    assert tree.files(target) == {"file": b"old"}
    assert not (tmp_path / "attic").exists()
