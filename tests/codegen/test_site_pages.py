"""Derived pages of the documentation site: all forms of an operation send the same request."""

from __future__ import annotations

import copy
import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codegen import CodegenError
from codegen.site import commands_page
from codegen.site.commands_page import command_page
from codegen.site.http_pages import FOLDER, example_forms, http_pages
from synth_pools.cli import run
from synth_pools.cli.operations.table import COMMANDS
from synth_pools.spec import load_spec
from tests.support.document import OPERATIONS
from tests.support.recording import Recorded, RecordingServer, Reply

KEY = "a-key-for-examples"
FORMS = example_forms(load_spec(), COMMANDS)


def reply(request: Recorded) -> Reply:
    if request.path.endswith("/events"):
        event = b'id: 1\ndata: {"event": "rollout.completed", "id": "1", "sequence": 1}\n\n'
        resumed = request.query or "last-event-id" in request.headers
        return Reply.events() if resumed else Reply.events(event)
    # The stream of an archived pool's events ends.
    return Reply.json({"id": "one", "items": [], "status": "archived"})


@pytest.fixture(scope="module")
def server() -> Iterator[RecordingServer]:
    with RecordingServer(reply) as server:
        yield server


@pytest.fixture
def surroundings(
    server: RecordingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    monkeypatch.setenv("SYNTH_BACKEND_URL", server.url)
    monkeypatch.setenv("SYNTH_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    server.requests.clear()
    yield
    server.requests.clear()


def sent_by(server: RecordingServer) -> tuple[str, str, Any]:
    """Return the only new request, without the headers that differ between clients."""
    request, *more = server.requests
    # Clients ask for the rollout at the end of a stream.
    assert [
        extra for extra in more if request.path not in (extra.path, f"{extra.path}/events")
    ] == []
    assert request.headers["authorization"] == f"Bearer {KEY}"
    server.requests.clear()
    return request.method, request.path, request.json or None


def run_in_shell(text: str) -> None:
    completed = subprocess.run(
        ["sh", "-c", text], capture_output=True, text=True, timeout=100, check=False
    )
    assert completed.returncode == 0, completed.stderr


def run_words(text: str) -> None:
    program, *words = shlex.split(text.replace("\\\n", ""))
    assert program == "synth-pools"
    assert run(words) == 0


@pytest.mark.parametrize("name", sorted(FORMS))
def test_all_forms_send_one_request(name: str, server: RecordingServer, surroundings: None) -> None:
    forms = FORMS[name]
    run_in_shell(forms.curl)
    expected = sent_by(server)
    assert expected[0] == OPERATIONS[name].method.upper()
    for program in (forms.python, forms.async_):
        exec(compile(program, name, "exec"), {"__name__": "__main__"})
        assert sent_by(server) == expected
    downloads = "-o " in forms.curl
    run_words(f"{forms.command} --to here" if downloads else forms.command)
    assert sent_by(server) == expected


def test_every_operation_is_on_a_page() -> None:
    pages = http_pages(load_spec(), COMMANDS)
    chapters = {
        line.removeprefix("## ")
        for page in pages.values()
        for line in page.splitlines()
        if line.startswith("## ")
    }
    assert set(OPERATIONS) <= chapters
    overview = pages[f"{FOLDER}/index.md"]
    assert all(f"[`{name}`]" in overview for name in OPERATIONS)
    schemas = pages[f"{FOLDER}/schemas.md"]
    assert all(f"## {name}\n" in schemas for name in load_spec()["components"]["schemas"])


def test_pages_show_what_the_forms_are() -> None:
    pages = "\n".join(http_pages(load_spec(), COMMANDS).values())
    unindented = "\n".join(line.removeprefix("    ") for line in pages.splitlines())
    assert all(text in unindented for forms in FORMS.values() for text in forms)


def test_a_shell_sends_the_key_and_a_body_that_people_can_read() -> None:
    texts: list[str] = []
    for forms in example_forms(load_spec(), COMMANDS).values():
        assert '-H "Authorization: Bearer $SYNTH_API_KEY"' in forms.curl
        words = shlex.split(forms.curl.replace("\\\n", ""))
        texts += words[words.index("--json") + 1 :][:1] if "--json" in words else []
    for text in texts:
        body = json.loads(text)
        assert text in (json.dumps(body), json.dumps(body, indent=2))
        # The command line has no short form for empty lists and objects.
        assert not {"{}", "[]"} & {json.dumps(inner) for inner in values_in(body)}
    assert any("\n" in text for text in texts)


def values_in(value: Any) -> Iterator[Any]:
    for inner in value.values() if isinstance(value, dict) else ():
        yield inner
        yield from values_in(inner)


def test_an_operation_without_a_command_is_refused() -> None:
    with pytest.raises(CodegenError, match="get_pool has no command: make generate"):
        http_pages(load_spec(), tuple(row for row in COMMANDS if row.name != "get"))


def test_a_parameter_without_an_example_is_refused() -> None:
    document = copy.deepcopy(load_spec())
    del document["components"]["parameters"]["PoolId"]["example"]
    with pytest.raises(CodegenError, match="the parameter pool_id needs an example"):
        example_forms(document, COMMANDS)


def test_every_command_is_on_a_page() -> None:
    commands = command_page()
    for name in ("serve", "pools list", "rollouts watch", "contract-test"):
        assert f"\n## {name}\n" in commands
    assert "complete-ids" not in commands


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("Do it,\nand say so.", "Do it, and say so."),
        (
            "Go.\n\nExample:\n  pools list\n  pools get",
            "Go.\n\nExample:\n\n```text\npools list\npools get\n```",
        ),
        ("One of these:\nthis and that.", "One of these: this and that."),
        ("A line\n  that goes on.", "A line that goes on."),
        ("First.\n\n  typed <ID>\n\nLast.", "First.\n\n```text\ntyped <ID>\n```\n\nLast."),
        ("A <b>.", "A &lt;b>."),
    ],
)
def test_what_a_help_indents_is_as_it_is_typed(text: str, markdown: str) -> None:
    assert commands_page._help(text) == markdown
