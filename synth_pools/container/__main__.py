"""Command that serves the container in a file: `python -m synth_pools.container FILE.py`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from synth_pools.container.container import Container
from synth_pools.container.ends import describe_setup, end_setup


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
    if options.name is not None:
        containers = {name: value for name, value in containers.items() if name == options.name}
    if len(set(containers.values())) != 1:
        names = ", ".join(containers) or "none"
        sys.exit(f"{options.file} has not one container, but: {names}. Choose it with --name.")
    next(iter(containers.values())).serve(port=options.port, host=options.host)


def _containers_in(file: Path) -> dict[str, Container]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no file of Python.")
    # Its neighbours can be imported, as from a script.
    sys.path.insert(0, str(file.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if isinstance(value, Container)}


if __name__ == "__main__":
    _main()
