"""Commands that send a request again: a line for a shell and a line for Python.

Both lines take the key from SYNTH_API_KEY, so they can be pasted, kept and mailed.
"""

from __future__ import annotations

import re
import shlex

from synth_pools.contract.results import Exchange

KEY = "${SYNTH_API_KEY}"
MASKED = f"Bearer {KEY}"
_LONG = 2_000
_RUN = re.compile(rb"(.{1,16}?)\1{63,}", re.DOTALL)
# Written by the tool that sends the request anyway.
_IMPLIED = {"host", "content-length", "accept-encoding", "connection", "user-agent", "accept"}


def curl_line(exchange: Exchange) -> str:
    """Return a curl command that sends the request of an exchange again."""
    parts = ["curl -sS -i"]
    if any("text/event-stream" in value for _, value in exchange.request_headers):
        parts = ["curl -sS -i -N --max-time 30"]
    if exchange.method != "GET" or exchange.request_body is not None:
        parts.append("-X " + shlex.quote(exchange.method))
    parts.append("--path-as-is " + shlex.quote(exchange.url))
    for name, value in _shown_headers(exchange):
        if KEY in value:
            parts.append(f'-H "{name}: {value}"')
        else:
            parts.append("-H " + shlex.quote(f"{name}: {value}" if value else f"{name};"))
    body = exchange.request_body
    if body is None:
        return " ".join(parts)
    text = _as_text(body)
    if text is not None and not (text.startswith("@") or len(body) > _LONG):
        return " ".join([*parts, "--data-binary " + shlex.quote(text)])
    write = f"import sys; sys.stdout.buffer.write({bytes_expression(body)})"
    return f"python3 -c {shlex.quote(write)} | " + " ".join([*parts, "--data-binary @-"])


def python_line(exchange: Exchange) -> str:
    """Return a Python statement that sends the request of an exchange again with httpx."""
    headers = ", ".join(
        f"{name!r}: {_python_value(value)}" for name, value in _shown_headers(exchange)
    )
    arguments = [repr(exchange.method), repr(exchange.url), f"headers={{{headers}}}"]
    if exchange.request_body is not None:
        arguments.append(f"content={bytes_expression(exchange.request_body)}")
    arguments.append("timeout=30")
    return f"import httpx, os; print(httpx.request({', '.join(arguments)}).text)"


def _python_value(value: str) -> str:
    """Return a header's value as an expression that takes the key from the environment."""
    pieces = re.split(f"({re.escape(KEY)})", value)
    parts = ['os.environ["SYNTH_API_KEY"]' if one == KEY else repr(one) for one in pieces if one]
    return " + ".join(parts) or "''"


def bytes_expression(body: bytes) -> str:
    """Return a Python expression for a body, short also where it repeats itself for megabytes."""
    if len(body) <= _LONG:
        return repr(body)
    pieces: list[str] = []
    position = 0
    for run in _RUN.finditer(body):
        if run.start() > position:
            pieces.append(repr(body[position : run.start()]))
        unit = run.group(1)
        pieces.append(f"{unit!r} * {len(run.group(0)) // len(unit)}")
        position = run.end()
    if position < len(body):
        pieces.append(repr(body[position:]))
    return " + ".join(pieces)


def _shown_headers(exchange: Exchange) -> list[tuple[str, str]]:
    return [(n, v) for n, v in exchange.request_headers if n.lower() not in _IMPLIED]


def _as_text(body: bytes) -> str | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text
