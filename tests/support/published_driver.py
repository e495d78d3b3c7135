"""Runs in a published SDK's own interpreter: makes the calls it reads, prints what they returned.

In:  [{"settings": {...}, "calls": [{"name", "args", "kwargs", "stream"}]}], one client each.
Out: {"returned": [...]} with a value for each call of all of them; {"raised": "..."} in the place
     of one that the later SDK refused.
"""

import dataclasses
import json
import sys
from functools import reduce
from importlib import import_module
from typing import Any


def main() -> None:
    returned = []
    for order in json.load(sys.stdin):
        client = _client(order["later"], order["settings"])
        for call in order["calls"]:
            method = reduce(getattr, call["name"].split("."), client)
            try:
                value = method(*call["args"], **call["kwargs"])
            except Exception as error:
                if not order["later"]:
                    raise
                value = {"raised": f"{type(error).__name__}: {error}"}
            returned.append(list(value) if call["stream"] else value)
    json.dump({"returned": returned}, sys.stdout, default=dataclasses.asdict)


def _client(later: bool, settings: dict[str, Any]) -> Any:
    # No import statements: these packages are nowhere in the environment that checks our types.
    if later:
        client: Any = import_module("synth_ai").SynthClient(**settings)
        return client.research.container_pools
    return import_module("synth_ai.sdk.pools").ContainerPoolsClient(**settings)


if __name__ == "__main__":
    main()
