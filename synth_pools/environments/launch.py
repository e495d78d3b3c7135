"""Program that serves an environment: `python -P launch.py KIND:NAME [--show]`.

The Python is that of the framework, where this package need not be installed: it is loaded from
where this file is, alone, so that nothing else of its installation gets into the framework's way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from importlib import import_module
from pathlib import Path


def _load_package() -> None:
    """Have `synth_pools` imported from this installation."""
    folder = Path(__file__).resolve().parent
    # Its modules have the names of the frameworks that they adapt.
    others = [path for path in sys.path if Path(path) != folder]
    sys.path[:] = [str(folder.parent.parent), *others]
    import_module("synth_pools")
    sys.path[:] = others


def _main() -> None:
    """Serve an environment until a signal, or print what it is."""
    parser = argparse.ArgumentParser(description="Serve an environment as a container of a pool.")
    parser.add_argument("reference", metavar="KIND:NAME")
    parser.add_argument("--show", action="store_true", help="print what it reads, as JSON")
    options = parser.parse_args()
    _load_package()
    # Names of modules and files are those of the current folder.
    sys.path.insert(0, str(Path.cwd()))
    # Programs that a framework brings are beside its Python.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}"
    # The relay, which the clients of frameworks call, is in this process.
    direct = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, direct))

    # Only now can they be imported.
    from synth_pools.container.ends import SetupError, describe_setup, end_setup
    from synth_pools.environments.adapter import load_environment

    try:
        built = load_environment(options.reference)
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        end_setup(describe_setup(error))
    if options.show:
        try:
            description = asyncio.run(built.describe())
        except SetupError as error:
            end_setup(str(error))
        print(json.dumps(description, default=repr))  # noqa: T201
        return
    built.container.serve()


if __name__ == "__main__":
    _main()
