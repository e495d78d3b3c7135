"""Make the calls that standard input lists with a published SDK; print what they returned.

In:  [{"settings": {...}, "calls": [{"name", "args", "kwargs", "stream"}]}], one client each.
Out: {"returned": [...]} with a value for each call of all of them; {"raised": "..."} for an error
     of an SDK that returns models.
"""

import dataclasses
import json
import sys
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

# Newer releases have the pools below `research`.
RETURNS_MODELS = find_spec("synth_ai.sdk.pools") is None


def main() -> None:
    returned = []
    for order in json.load(sys.stdin):
        client = _client(order["settings"])
        for call in order["calls"]:
            method = reduce(getattr, call["name"].split("."), client)
            try:
                value = method(*call["args"], **call["kwargs"])
            except Exception as error:
                if not RETURNS_MODELS:
                    raise
                value = {"raised": f"{type(error).__name__}: {error}"}
            returned.append(list(value) if call["stream"] else value)
    json.dump({"returned": returned}, sys.stdout, default=dataclasses.asdict)


def _client(settings: dict[str, Any]) -> Any:
    # No import statements: these packages are nowhere in the environment that checks our types.
    if RETURNS_MODELS:
        client: Any = import_module("synth_ai").SynthClient(**settings)
        return client.research.container_pools
    return import_module("synth_ai.sdk.pools").ContainerPoolsClient(**settings)


if __name__ == "__main__":
    main()
