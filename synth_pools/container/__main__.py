"""Command that serves the container in a file: `python -m synth_pools.container FILE.py`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from synth_pools.container.container import Container
from synth_pools.container.ends import SetupError, describe_setup, end_setup


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m synth_pools.container", description="Serve the container in a file."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--name", help="the variable with it, where the file has several")
    parser.add_argument("--port", type=int, help="the port, unless PORT is set; 9000")
    parser.add_argument("--host", help="the address to listen at; 127.0.0.1")
    options = parser.parse_args()
    try:
        containers = _containers_in(options.file)
    # A file may raise anything.
    except Exception as error:  # noqa: BLE001
        end_setup(describe_setup(error))
    names = [name for name in containers if options.name in (None, name)]
    if len({containers[name] for name in names}) != 1:
        if not containers:
            sys.exit(f"{options.file} has no container: make one with Container(...).")
        lack = "not one container" if options.name is None else f"no container {options.name!r}"
        sys.exit(f"{options.file} has {lack}, but: {', '.join(containers)}. Choose with --name.")
    containers[names[0]].serve(port=options.port, host=options.host)


def _containers_in(file: Path) -> dict[str, Container]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SetupError(f"There is no file {file} of Python.")
    # Its neighbours can be imported, as from a script.
    sys.path.insert(0, str(file.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if isinstance(value, Container)}


if __name__ == "__main__":
    _main()
