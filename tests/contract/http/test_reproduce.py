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
    bytes_expression,
    curl_line,
    in_short,
    python_line,
)
from synth_pools.contract.results import Exchange, LongBody
from tests.contract.selftest.watched import KEY, watched

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
    with watched() as one:
        headers = (("authorization", MASKED), ("content-type", "application/json"))
        exchange = Exchange(
            "POST", f"{one.url}/v1/pools/a%2Fb/rollouts?x=%C3%BC&y='", headers, body
        )
        if tool == "curl":
            command = ["bash", "-c", curl_line(exchange)]
        else:
            command = [sys.executable, "-c", python_line(exchange)]
        environment = {**os.environ, "SYNTH_API_KEY": KEY, "NO_PROXY": "*"}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)
        (method, target, sent) = one.seen[-1]
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
    # What the words of the line are to the tool, without the tool.
    environment = {"PATH": os.environ["PATH"], "SYNTH_API_KEY": KEY}
    if tool == "curl":
        command = ["bash", "-c", f"printf '%s\\n' {text}"]
    else:
        call = text.split("print(httpx.request", 1)[1].removesuffix(".text)")
        show = f"import os; print(*(lambda *a, headers, timeout: (*a, *headers.values())){call})"
        command = [sys.executable, "-c", show]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)
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
