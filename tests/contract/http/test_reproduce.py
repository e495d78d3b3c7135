"""Commands that send a request again, byte for byte, without showing the key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from random import Random

import pytest

from synth_pools.contract.http.reproduce import KEY as KEY_OF_SHELL
from synth_pools.contract.http.reproduce import (
    MASKED,
    OTHER_KEY,
    bytes_expression,
    curl_line,
    in_short,
    masked_headers,
    python_line,
)
from synth_pools.contract.results import Exchange, LongBody
from tests.contract.faults.fault import KEY
from tests.contract.selftest.watched import watched

_BODIES = [
    None,
    b'{"name": "it\'s \xc3\xbc \xf0\x9f\x8c\x8d `$HOME` \\\\n"}',
    b"@/etc/hostname",
    b"\xff\xfe not text \x00",
    b'{"name": "' + b"x" * 5_000 + b'"}',
    b"[" * 3_000 + b"]" * 3_000,
]


@pytest.mark.parametrize("body", _BODIES)
@pytest.mark.parametrize("tool", ["curl", "python"])
def test_the_line_sends_the_same_request(tool: str, body: bytes | None) -> None:
    if tool == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    with watched() as server:
        headers = (("authorization", MASKED), ("content-type", "application/json"))
        exchange = Exchange(
            "POST", f"{server.url}/v1/pools/a%2Fb/rollouts?x=%C3%BC&y='", headers, body
        )
        if tool == "curl":
            command = ["bash", "-c", curl_line(exchange)]
        else:
            command = [sys.executable, "-c", python_line(exchange)]
        environment = {**os.environ, "SYNTH_API_KEY": KEY, "NO_PROXY": "*"}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
        (method, target, sent) = server.requests[-1]
    assert (method, sent) == ("POST", body or b"")
    assert target in (
        "/v1/pools/a%2Fb/rollouts?x=%C3%BC&y='",
        "/v1/pools/a%2Fb/rollouts?x=%C3%BC&y=%27",
    )


@pytest.mark.parametrize("tool", ["curl", "python"])
@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (f"Bearer x{KEY_OF_SHELL}", f"Bearer x{KEY}"),
        (f'Bearer "{KEY_OF_SHELL}"', f'Bearer "{KEY}"'),
        ("Bearer ${SYNTH_API_KEY%?}", f"Bearer {KEY[:-1]}"),
        ("Bearer ${SYNTH_API_KEY#?}", f"Bearer {KEY[1:]}"),
        ("Bearer ${SYNTH_API_KEY^^}", f"Bearer {KEY.upper()}"),
    ],
)
def test_the_line_sends_a_key_that_is_nearly_right(tool: str, value: str, sent: str) -> None:
    line = {"curl": curl_line, "python": python_line}[tool]
    if tool == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    url = f"http://127.0.0.1:1/v1/pools?key={KEY_OF_SHELL}"
    text = line(Exchange("GET", url, (("authorization", value),)))
    # Reads the words of the line as the tool would.
    environment = {"PATH": os.environ["PATH"], "SYNTH_API_KEY": KEY}
    if tool == "curl":
        command = ["bash", "-c", f"printf '%s\\n' {text}"]
    else:
        call = text.split("print(httpx.request", 1)[1].removesuffix(".text)")
        show = f"import os; print(*(lambda *a, headers, timeout: (*a, *headers.values())){call})"
        command = [sys.executable, "-c", show]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    assert sent in done.stdout.decode()
    assert f"key={KEY}" in done.stdout.decode()


def test_long_bodies_are_short_expressions() -> None:
    body = b'{"name": "' + b"x" * 17_000_000 + b'"}'
    text = bytes_expression(body)
    assert len(text) < 200
    assert eval(text) == body


def test_a_long_body_without_repetitions_is_cut_and_keeps_its_size() -> None:
    body = Random(1).randbytes(3_000_000)
    short = in_short(body)
    assert isinstance(short, LongBody)
    text = bytes_expression(short)
    assert len(text) < 20_000
    assert len(eval(text)) == short.size == len(body)


def test_a_repetition_with_something_around_it_is_kept_to_the_byte() -> None:
    body = b"head" + "längere Texte 🌍 ".encode() * 50_000 + b"tail" + b"[" * 4_000 + b"x"
    short = in_short(body)
    assert isinstance(short, LongBody)
    assert short.left_out == 0
    assert len(bytes_expression(short)) < 1_000
    assert eval(bytes_expression(short)) == body


def test_a_key_with_more_is_shown_as_such() -> None:
    exchange = Exchange("GET", "http://127.0.0.1:1/v1/pools", (("authorization", f"{MASKED}x"),))
    assert '"authorization: Bearer ${SYNTH_API_KEY}x"' in curl_line(exchange)
    assert """'Bearer ' + os.environ["SYNTH_API_KEY"] + 'x'""" in python_line(exchange)


_URL = "http://127.0.0.1:1/v1/pools"


@pytest.mark.parametrize(
    ("exchange", "line"),
    [
        (Exchange("GET", _URL), f"curl -sS -i --path-as-is {_URL}"),
        (Exchange("DELETE", f"{_URL}?a=b&c"), f"curl -sS -i -X DELETE --path-as-is '{_URL}?a=b&c'"),
        (
            Exchange("GET", _URL, (("accept", "text/event-stream"), ("Host", "x"), ("x-e", ""))),
            f"curl -sS -i -N --max-time 30 --path-as-is {_URL} -H 'x-e;'",
        ),
        (
            Exchange("GET", _URL, (("x-a", "b c"),), b""),
            f"curl -sS -i -X GET --path-as-is {_URL} -H 'x-a: b c' --data-binary ''",
        ),
        (
            Exchange("GET", f"{_URL}?k={KEY_OF_SHELL}", (("authorization", f"Basic {OTHER_KEY}"),)),
            (
                f'curl -sS -i --path-as-is "{_URL}?k={KEY_OF_SHELL}"'
                f' -H "authorization: Basic {OTHER_KEY}"'
            ),
        ),
        (
            Exchange("PUT", _URL, (), b"@a"),
            (
                """python3 -c 'import sys; sys.stdout.buffer.write(b'"'"'@a'"'"')' | """
                f"curl -sS -i -X PUT --path-as-is {_URL} --data-binary @-"
            ),
        ),
    ],
)
def test_the_line_for_a_shell(exchange: Exchange, line: str) -> None:
    assert curl_line(exchange) == line


@pytest.mark.parametrize(
    ("exchange", "arguments"),
    [
        (Exchange("GET", _URL), f"'GET', '{_URL}', headers={{}}, timeout=30"),
        (
            Exchange("PUT", _URL, (("x-a", ""), ("Host", "x"), ("x-b", "c")), b"\xff"),
            f"'PUT', '{_URL}', headers={{'x-a': '', 'x-b': 'c'}}, content=b'\\xff', timeout=30",
        ),
        (
            Exchange("GET", _URL, (("authorization", f"{OTHER_KEY} {KEY_OF_SHELL}"),)),
            (
                f"'GET', '{_URL}', headers={{'authorization': "
                """os.environ["SYNTH_OTHER_API_KEY"] + ' ' + os.environ["SYNTH_API_KEY"]}"""
                ", timeout=30"
            ),
        ),
    ],
)
def test_the_line_for_python(exchange: Exchange, arguments: str) -> None:
    line = f"import httpx, os; print(httpx.request({arguments}).text)"
    assert python_line(exchange) == line


def test_a_line_has_at_most_two_thousand_letters_of_a_body() -> None:
    texts = ["ab" * 1_000, "ab" * 1_000 + "a"]
    lines = [curl_line(Exchange("PUT", _URL, (), text.encode())) for text in texts]
    assert lines[0].endswith(f"--data-binary {texts[0]}")
    assert lines[1].startswith("python3 -c ")
    assert "* 1000 + b" in lines[1]


def test_what_is_secret_in_headers_is_masked() -> None:
    headers = (("authorization", "x"), ("cookie", "y"), ("set-cookie", "z"), ("accept", "a"))
    masked = (("authorization", MASKED), ("cookie", "***"), ("set-cookie", "***"), ("accept", "a"))
    assert masked_headers(headers) == masked


@pytest.mark.parametrize(
    ("body", "short"),
    [
        (None, None),
        (b"x" * 2_000, b"x" * 2_000),
        (LongBody((), 1, 1), LongBody((), 1, 1)),
        (b"x" * 2_001, LongBody(((b"x", 2_001),), 2_001, 0)),
        # Thirty-two in a row are a repetition.
        (
            b"a" + b"xy" * 1_000 + b"b" + b"z" * 31,
            LongBody(((b"a", 1), (b"xy", 1_000), (b"b" + b"z" * 31, 1)), 2_033, 0),
        ),
        (
            b"a" + b"xy" * 1_000 + b"z" * 32,
            LongBody(((b"a", 1), (b"xy", 1_000), (b"z", 32)), 2_033, 0),
        ),
    ],
    ids=["none", "as long as is whole", "in short already", "one letter", "31 in a row", "32"],
)
def test_a_body_by_what_it_repeats(body: bytes | None, short: bytes | LongBody | None) -> None:
    assert in_short(body) == short


def test_what_is_left_out_of_a_body_is_counted() -> None:
    plain = Random(2).randbytes(2_500)
    assert in_short(plain) == LongBody(((plain[:2_000], 1),), 2_500, 500)
    body = LongBody(((b"a", 1), (b"b", 40)), 50, 9)
    assert bytes_expression(body) == "b'a' + b'b' * 40 + b'.' * 9"
    # A part in full, and one that is cut.
    mixed = plain[:1_500] + b"[" * 100 + plain
    assert in_short(mixed) == LongBody(
        ((plain[:1_500], 1), (b"[", 100), (plain[:499], 1)), 4_100, 2_001
    )
