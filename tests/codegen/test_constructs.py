"""Constructs that the document does not use yet, from `make generate` to the bytes on the wire."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegen import generate
from codegen.site.http_pages import http_pages
from synth_pools.spec import read_spec
from tests.support.constructs import copy_with_constructs
from tests.support.recording import Recorded, RecordingServer, Reply

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("constructs")]

# Evaluates expressions with a client, and prints what each returns.
DRIVER = """
import asyncio, inspect, json, sys
import synth_pools
from synth_pools_api import AuthenticatedClient, api, models

def shown(value):
    value = value.decode() if isinstance(value, bytes) else value
    return value if isinstance(value, (str, dict)) else type(value).__name__

async def evaluated(text, names):
    try:
        value = eval(text, {**globals(), **names})
        return shown(await value if inspect.isawaitable(value) else value)
    except (synth_pools.SynthPoolsError, ValueError) as error:
        return f"{type(error).__name__}: {error}"

async def main(variant, url):
    kind = {"sync": "ContainerPoolsClient", "async": "AsyncContainerPoolsClient"}[variant]
    client = getattr(synth_pools, kind)(api_key="a-key-of-the-test", base_url=url)
    client = client.with_options(headers={"Cookie": "own=1"})
    generated = AuthenticatedClient(url, token="a-key-of-the-test")
    names = {"client": client, "call": client.operations.call, "pools": client.api.pools}
    for text in json.load(sys.stdin):
        print(repr(await evaluated(text, {**names, "generated": generated})))

if sys.argv[2] == "local":
    from synth_pools.local import LocalBackend
    with LocalBackend(api_key="a-key-of-the-test") as backend:
        asyncio.run(main(sys.argv[1], backend.url))
else:
    asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("constructs")
    copy_with_constructs(root)
    assert generate.main(["--root", str(root)]) == 0
    return root


def run(root: Path, *words: str, stdin: bytes = b"", url: str = "") -> tuple[int, str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SYNTH_")}
    completed = subprocess.run(
        [sys.executable, "-P", *words],
        env={
            **inherited,
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'generated'}",
            "HOME": str(root),
            "SYNTH_API_KEY": "a-key-of-the-test",
            "SYNTH_BACKEND_URL": url,
        },
        cwd=root,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return completed.returncode, completed.stdout.decode(), completed.stderr.decode()


def evaluate(root: Path, variant: str, url: str, expressions: list[str]) -> list[Any]:
    code, out, err = run(root, "-c", DRIVER, variant, url, stdin=json.dumps(expressions).encode())
    assert (code, err) == (0, "")
    return [ast.literal_eval(line) for line in out.splitlines()]


QUERY = (
    "{'pool_id': 'p', 'filter': {'state': 'a b', 'depth': 2}, 'tags': ['a,b', 'c'], "
    "'sizes': [1, 2], 'words': ['x', 'y'], 'kinds': ['a', 'b'], 'bounds': {'low': 1, 'high': 9}, "
    "'pair': {'low': 3}, 'from': 'f', 'to': 't', 'since': '2026-01-02T03:04:05Z', 'exact': True, "
    "'ratio': 0.5, 'either': 7, 'x_depth': 4, 'x_whole': 'false', 'session': 's;1='}"
)
SENT_QUERY = (
    "/v1/pools/p/search?filter%5Bstate%5D=a+b&filter%5Bdepth%5D=2&tags=a%2Cb,c&sizes=1%7C2"
    "&words=x%20y&kinds=a&kinds=b&low=1&high=9&pair=low,3&from=f&to=t"
    "&since=2026-01-02T03%3A04%3A05Z&exact=true&ratio=0.5&either=7"
)
TREE = (
    "{'name': 'n', 'x-size': 1, 'kind': None, 'branches': [{'name': 'b', 'kind': 'oak'}], "
    "'ages': {'a': 3}, 'notes': {'n': {'x': 1}}, 'planted_on': '2026-01-02', 'species': 'tree'}"
)
# An expression, the target that it calls, headers of the request, and its body.
WIRE = {
    f"call('search_pool', {QUERY})": (
        SENT_QUERY,
        {"x-depth": "4", "x-whole": "false", "cookie": "own=1; session=s%3B1="},
        b"",
    ),
    "pools.search_pool('p', tags=['a'], bounds=models.SearchPoolBounds(low=1), session='s')": (
        "/v1/pools/p/search?tags=a&low=1",
        {"cookie": "own=1; session=s"},
        b"",
    ),
    "call('search_pool', {'pool_id': 'a/b', 'tags': [], 'filter': {}})": (
        "/v1/pools/a%2Fb/search",
        {"cookie": "own=1"},
        b"",
    ),
    "api.pools.search_pool.sync_detailed('p', client=generated, session='s', words=['x', 'y'])": (
        "/v1/pools/p/search?words=x+y",
        {"cookie": "session=s"},
        b"",
    ),
    r"call('upload_pool_blob', {'pool_id': 'p', 'session': 's'}, body=b'\x00\xff')": (
        "/v1/pools/p/blob",
        {
            "content-type": "application/octet-stream",
            "content-length": "2",
            "cookie": "own=1; session=s",
        },
        b"\x00\xff",
    ),
    "pools.upload_pool_blob('p', body=b'abc')": (
        "/v1/pools/p/blob",
        {"content-type": "application/octet-stream", "content-length": "3"},
        b"abc",
    ),
    "api.pools.upload_pool_blob.sync_detailed('p', client=generated, body=b'abc')": (
        "/v1/pools/p/blob",
        {"content-type": "application/octet-stream"},
        b"abc",
    ),
    "call('write_pool_note', {'pool_id': 'p'}, body='größe'.encode())": (
        "/v1/pools/p/note",
        {"content-type": "text/plain"},
        "größe".encode(),
    ),
    "call('write_pool_note', {'pool_id': 'p'})": ("/v1/pools/p/note", {"content-length": "0"}, b""),
    "call('submit_pool_form', {'pool_id': 'p'}, body={'name': 'a&b', 'count': 2, "
    "'labels': ['x', 'y'], 'from': 'f'})": (
        "/v1/pools/p/form",
        {"content-type": "application/x-www-form-urlencoded"},
        b"name=a%26b&count=2&labels=x&labels=y&from=f",
    ),
    "pools.submit_pool_form('p', body=models.PoolForm(name='n', from_='f'))": (
        "/v1/pools/p/form",
        {"content-type": "application/x-www-form-urlencoded"},
        b"name=n&from=f",
    ),
    "call('choose_in_pool', {'pool_id': 'p'}, body={'kind': 'name', 'name': 'n'})": (
        "/v1/pools/p/choice",
        {"content-type": "application/json"},
        b'{"kind":"name","name":"n"}',
    ),
    "call('either_in_pool', {'pool_id': 'p'}, body={'name': 'n'})": (
        "/v1/pools/p/either",
        {"content-type": "application/json"},
        b'{"name":"n"}',
    ),
    f"call('plant_pool_tree', {{'pool_id': 'p'}}, body={TREE})": (
        "/v1/pools/p/tree",
        {"content-type": "application/json"},
        json.dumps(ast.literal_eval(TREE), separators=(",", ":")).encode(),
    ),
    "pools.plant_pool_tree('p', body=models.PoolTree(name='n', soil=models.PoolTreeSoil()))": (
        "/v1/pools/p/tree",
        {"content-type": "application/json"},
        b'{"name":"n","soil":{}}',
    ),
}


@pytest.mark.parametrize("variant", ["sync", "async"])
def test_each_construct_is_on_the_wire_as_the_document_has_it(copied: Path, variant: str) -> None:
    by_ending = {"choice": {"kind": "name", "name": "n"}, "tree": {"name": "n"}}

    def answer(request: Recorded) -> Reply:
        return Reply.json(by_ending.get(request.path.rpartition("/")[2], {}))

    with RecordingServer(answer) as server:
        results = evaluate(copied, variant, server.url, [*WIRE])
        assert [result for result in results if "Error" in str(result)] == []
        requests = server.requests
    for request, (target, headers, body) in zip(requests, WIRE.values(), strict=True):
        assert (request.target, request.body) == (target, body)
        lowered = {name.lower(): value for name, value in request.headers.items()}
        assert {name: lowered.get(name) for name in headers} == headers


# An expression, and what it returns or the error, where all is sent to a backend that echoes.
ECHOES = {
    f"call('search_pool', {QUERY})": {
        "parameters": {
            "pool_id": "p",
            "filter": {"state": "a b", "depth": 2},
            "tags": ["a,b", "c"],
            "sizes": [1, 2],
            "words": ["x", "y"],
            "kinds": ["a", "b"],
            "bounds": {"low": 1, "high": 9},
            "pair": {"low": 3},
            "from": "f",
            "to": "t",
            "since": "2026-01-02T03:04:05Z",
            "exact": True,
            "ratio": 0.5,
            "either": 7,
            "X-Depth": 4,
            "X-Whole": False,
            "session": "s;1=",
        },
        "body": None,
        "size": 0,
    },
    r"call('upload_pool_blob', {'pool_id': 'p'}, body=b'\x00\xff')": {
        "parameters": {"pool_id": "p"},
        "body": None,
        "size": 2,
    },
    "call('submit_pool_form', {'pool_id': 'p'}, body={'name': '5', 'count': 2, 'labels': ['x']})": {
        "parameters": {"pool_id": "p"},
        "body": {"name": "5", "count": 2, "labels": ["x"]},
        "size": 23,
    },
    f"call('plant_pool_tree', {{'pool_id': 'p'}}, body={TREE})": ast.literal_eval(TREE),
}
REFUSALS = {
    "call('search_pool', {'pool_id': 'p', 'sizes': ['x']})": "query.sizes.0",
    "call('search_pool', {'pool_id': 'p', 'filter': {'depth': 'deep'}})": "query.filter.depth",
    "call('submit_pool_form', {'pool_id': 'p'}, body={'count': 'x'})": "body",
    "call('choose_in_pool', {'pool_id': 'p'}, body={'kind': 'other'})": "body",
}


@pytest.mark.parametrize("variant", ["sync", "async"])
def test_a_backend_reads_what_was_sent(copied: Path, variant: str) -> None:
    results = evaluate(copied, variant, "local", [*ECHOES, *REFUSALS])
    assert [json.loads(result) for result in results[: len(ECHOES)]] == [*ECHOES.values()]
    for result, place in zip(results[len(ECHOES) :], REFUSALS.values(), strict=True):
        assert result.startswith("ValidationFailedError"), result
        assert place in result


READ = {
    "type(pools.choose_in_pool('p', body=models.NameChoice(kind='name'))).__name__": "NameChoice",
    "type(pools.choose_in_pool('p', body={'kind': 'limit', 'limit': 3})).__name__": "LimitChoice",
    "pools.plant_pool_tree('p', body=models.PoolTree.from_dict(" + TREE + ")).to_dict()": (
        ast.literal_eval(TREE)
    ),
}


def test_a_model_reads_the_alternative_that_is_meant(copied: Path) -> None:
    assert evaluate(copied, "sync", "local", [*READ]) == [*READ.values()]


def test_what_cannot_be_sent_is_refused_before_it_is(copied: Path) -> None:
    refused = {
        "call('upload_pool_blob', {'pool_id': 'p'}, body={'a': 1})": "body must be bytes, not dict",
        "call('submit_pool_form', {'pool_id': 'p'}, body=b'a')": "must be a mapping, not bytes",
        "pools.upload_pool_blob('p', body={'a': 1})": "body must be a bytes, not dict",
        "call('search_pool', {'pool_id': 'p', 'to': ['a']})": "to must be a string, not list",
        "call('search_pool', {'pool_id': 'p', 'kinds': {'a': 1}})": "kinds must be a string, not",
        "call('search_pool', {'pool_id': 'p', 'filter': {'a': {}}})": "filter.a must be a string",
        "pools.search_pool('p', tags='a')": "tags must be a list, not str",
        "call('submit_pool_form', {'pool_id': 'p'}, body={'name': {'a': 1}})": "holds no dict",
        "call('submit_pool_form', {'pool_id': 'p'}, body={'name': [['a']]})": "holds no list",
    }
    with RecordingServer() as server:
        results = evaluate(copied, "sync", server.url, [*refused])
        for result, message in zip(results, refused.values(), strict=True):
            assert result.startswith("RequestValidationError: "), result
            assert message in result
        assert server.requests == []


def test_an_answer_in_another_format_is_bytes(copied: Path) -> None:
    with RecordingServer(Reply(200, b"a,b\n", {"Content-Type": "text/csv"})) as server:
        results = evaluate(
            copied,
            "sync",
            server.url,
            ["pools.get_pool_table('p')", "call('get_pool_table', {'pool_id': 'p'})"],
        )
    assert results == ["a,b\n", "a,b\n"]


COMMANDS = [
    (
        "search p --filter state=a --filter depth=2 --tags a --tags b --query-to t --session s",
        "/v1/pools/p/search?filter%5Bstate%5D=a&filter%5Bdepth%5D=2&tags=a,b&to=t",
        b"",
    ),
    (
        "search p --from f --exact true --x-depth 2 --x-whole false --kinds a",
        "/v1/pools/p/search?kinds=a&from=f&exact=true",
        b"",
    ),
    ("upload-blob p @blob", "/v1/pools/p/blob", b"\x00\xff"),
    ("upload-blob p -", "/v1/pools/p/blob", b"from standard input"),
    ("write-note p", "/v1/pools/p/note", b""),
    ('submit-form p name=5 count=2 labels:=["x"]', "/v1/pools/p/form", b"name=5&count=2&labels=x"),
    ("choose-in p kind=limit limit=3", "/v1/pools/p/choice", b'{"kind":"limit","limit":3}'),
    ("either-in p @body.json", "/v1/pools/p/either", b'{"any":[1]}'),
    (
        "plant-tree p name=n x-size=2 species=tree",
        "/v1/pools/p/tree",
        b'{"name":"n","x-size":2,"species":"tree"}',
    ),
]


@pytest.mark.parametrize(("words", "target", "body"), COMMANDS)
def test_the_command_line_sends_it_too(copied: Path, words: str, target: str, body: bytes) -> None:
    (copied / "blob").write_bytes(b"\x00\xff")
    (copied / "body.json").write_text('{"any":[1]}')
    answer = b'{ "who":"me",  "n":1.0 }'
    with RecordingServer(Reply(200, answer)) as server:
        command = ("-m", "synth_pools", "pools", *words.split(), "--output", "json")
        code, out, err = run(copied, *command, stdin=b"from standard input", url=server.url)
        assert (code, out, err) == (0, f"{answer.decode()}\n", "")
        assert (server.last.target, server.last.body) == (target, body)


@pytest.mark.parametrize(("words", "name"), [("table p", "p-table"), ("report", "report")])
def test_the_command_line_saves_an_answer_in_another_format(
    copied: Path, words: str, name: str
) -> None:
    with RecordingServer(Reply(200, b"a,b\n", {"Content-Type": "text/csv"})) as server:
        command = ("-m", "synth_pools", "pools", *words.split())
        assert run(copied, *command, url=server.url) == (0, f"{name}\n", "")
    assert (copied / name).read_bytes() == b"a,b\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search p --filter state", "--filter takes KEY=VALUE, several times for several keys"),
        ("upload-blob p name=n", "the body is bytes: write one @FILE, or - for standard input"),
        ("upload-blob p @nowhere", "nowhere: No such file or directory"),
        ("plant-tree p name=n species=bush", 'species: must be one of "tree", not "bush"'),
        ("plant-tree p species=tree", "name is missing"),
        ("plant-tree p name=n", "kind is missing"),
    ],
)
def test_the_command_line_says_what_to_write(copied: Path, words: str, message: str) -> None:
    code, out, err = run(
        copied, "-m", "synth_pools", "pools", *words.split(), url="http://127.0.0.1:9"
    )
    assert code != 0
    assert (out, message in err) == ("", True), err


def test_the_site_shows_how_each_is_sent(copied: Path) -> None:
    table = runpy.run_path(str(copied / "synth_pools/cli/operations/table.py"))
    page = http_pages(read_spec(copied / "openapi.yaml"), table["COMMANDS"])[
        "reference/http/pools.md"
    ]
    for line in (
        "--data-urlencode name=n",
        "--data-binary @FILE",
        "synth-pools pools upload-blob docs-example-pool @FILE",
        "synth-pools pools submit-form docs-example-pool name=n",
    ):
        assert line in page


def test_what_is_generated_has_types(copied: Path) -> None:
    (copied / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    code, out, _ = run(copied, "-m", "mypy", "--config-file=mypy.ini", "generated/synth_pools_api")
    assert code == 0, out
