"""Runs in the published SDK's own interpreter: makes the calls it reads, prints what they returned.

In:  [{"settings": {...}, "calls": [{"name", "args", "kwargs", "stream"}]}], one client each.
Out: {"returned": [...]} with a value for each call of all of them.
"""

import json
import sys
from functools import reduce
from importlib import import_module
from typing import Any


def main() -> None:
    # Not an import statement: this package is nowhere in the environment that checks our types.
    pools = import_module("synth_ai.sdk.pools")
    returned = []
    for order in json.load(sys.stdin):
        client: Any = pools.ContainerPoolsClient(**order["settings"])
        for call in order["calls"]:
            method = reduce(getattr, call["name"].split("."), client)
            value = method(*call["args"], **call["kwargs"])
            returned.append(list(value) if call["stream"] else value)
    json.dump({"returned": returned}, sys.stdout)


if __name__ == "__main__":
    main()
