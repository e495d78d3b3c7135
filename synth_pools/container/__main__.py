"""Command that serves a container: `python -m synth_pools.container FILE.py [NAME]`.

NAME is a variable of the file, or of a module that is named instead of it; without one it is the
only container in it. `PORT` in the environment comes before `--port`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from synth_pools.container.container import Container
from synth_pools.container.ends import describe_setup


def _main() -> None:
    """Serve the container in a file until a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m synth_pools.container", description="Serve the container in a file."
    )
    parser.add_argument("place", metavar="FILE", help="a file, or the name of a module")
    parser.add_argument("name", metavar="NAME", nargs="?", help="its variable")
    parser.add_argument("--port", type=int, help="the port, unless PORT is set; 9000")
    parser.add_argument("--host", help="the address to listen at; 127.0.0.1")
    options = parser.parse_args()
    # Names of modules are those of the current folder, as for `python -m`.
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = _load(options.place)
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        sys.exit(describe_setup(error))
    _find(module, options.place, options.name).serve(port=options.port, host=options.host)


def _load(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix != ".py":
        return importlib.import_module(place)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"There is no file {place}.")
    # Its neighbours can be imported, as from a script.
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, place: str, name: str | None) -> Container:
    """Return the container in a module."""
    if name is not None:
        container = getattr(module, name, None)
        if not isinstance(container, Container):
            sys.exit(f"{place} has no container {name!r}.")
        return container
    containers = {
        id(value): value for value in vars(module).values() if isinstance(value, Container)
    }
    if len(containers) != 1:
        names = [name for name, value in vars(module).items() if isinstance(value, Container)]
        reason = (
            f"more than one container, name one of them: {', '.join(names)}"
            if names
            else ("no container: create one with Container(...) at the top of it")
        )
        sys.exit(f"{place} has {reason}.")
    return next(iter(containers.values()))


if __name__ == "__main__":
    _main()
