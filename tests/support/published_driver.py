"""Make the calls that standard input lists with a published SDK; print what they returned.

In:  [{"settings": {...}, "calls": [{"name", "args", "kwargs", "stream"}]}], one client each.
Out: {"returned": [...]} with a value for each call of all of them, or a described error.
"""

import dataclasses
import json
import sys
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def main() -> None:
    returned = []
    for order in json.load(sys.stdin):
        client = _client(order["settings"])
        for call in order["calls"]:
            method = reduce(getattr, call["name"].split("."), client)
            try:
                value = method(*call["args"], **call["kwargs"])
                returned.append(list(value) if call["stream"] else value)
            except Exception as error:  # noqa: BLE001 - the caller judges it
                returned.append(describe(error))
    json.dump({"returned": returned}, sys.stdout, default=dataclasses.asdict)


def describe(error: Exception) -> dict[str, Any]:
    """Return the text of an error, its public bases, and its request and response if it has any."""
    public = [
        f"{base.__module__}.{base.__name__}"
        for base in type(error).__mro__
        if base.__module__.partition(".")[0] in ("builtins", "httpx", "json")
    ]
    described: dict[str, Any] = {"raised": f"{type(error).__name__}: {error}", "classes": public}
    request, response = getattr(error, "_request", None), getattr(error, "response", None)
    if request is not None:
        described["request"] = [request.method, str(request.url)]
    if response is not None:
        described["response"] = [response.status_code, response.text, dict(response.headers)]
    return described


def _client(settings: dict[str, Any]) -> Any:
    # No import statements: these packages are nowhere in the environment that checks our types.
    if find_spec("synth_ai.sdk.pools") is None:  # newer releases have the pools below `research`
        client: Any = import_module("synth_ai").SynthClient(**settings)
        return client.research.container_pools
    return import_module("synth_ai.sdk.pools").ContainerPoolsClient(**settings)


if __name__ == "__main__":
    main()
