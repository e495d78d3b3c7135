"""Container engine of this machine, and an image with this machine's Python.

No registry is needed: `podman import` and `docker import` make the image from a folder tree.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

IMAGE = "localhost/small-container:1"

# Most of Python, which a container does not need.
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|lib2to3|tkinter|ensurepip|site-packages|dist-packages"
    r"|config-[^/]*)(/|$)|\.a$"
)
_FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "run")


class EngineUnderTest:
    """Engine of this machine: podman with storage of its own in a folder, or docker's daemon.

    Args:
        name: Its name.
        folder: The folder.
        before: First words of its commands, for a program that runs another one.
    """

    def __init__(self, name: str, folder: Path, before: Sequence[str] = ()) -> None:
        self.name = name
        self._before = before
        self.variables = _podman_variables(folder) if name == "podman" else {}

    @property
    def is_there(self) -> bool:
        """Tell whether it works; the command of docker may exist without its daemon."""
        return shutil.which(self.name) is not None and self._run("info").returncode == 0

    @property
    def complaint(self) -> str:
        """Return the last line of its output, if it does not work."""
        if shutil.which(self.name) is None:
            return "it is not installed"
        return self._run("info").stderr.decode().strip().rpartition("\n")[2]

    def say(self, *words: str, check: bool = True) -> str:
        done = self._run(*words)
        assert done.returncode == 0 or not check, (words, done.stderr)
        return done.stdout.decode().strip()

    def containers(self) -> list[str]:
        """The names of all containers that backends have started, running or not."""
        label = "label=synth-pools.backend"
        return self.say("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()

    def build(self, *programs: Path, name: str = IMAGE, starts: str | None = None) -> None:
        """Make the image of Python and these programs, which are at its root.

        Args:
            programs: Files and folders of modules.
            name: The name of the image.
            starts: The program that a container of it runs.
        """
        with _Tree() as tree:
            for program in programs:
                tree.add(program, program.name)
        command = json.dumps([interpreter(), f"/{starts}"])
        self._import(name, tree, *(["--change", f"CMD {command}"] if starts else []))

    def build_base(self, name: str) -> None:
        """Make an image of Python with pip, a shell and install, as recipes begin with."""
        with _Tree() as tree:
            pip = Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages/pip")
            tree.add(pip, f"{sysconfig.get_path('stdlib')}/site-packages/pip")
            for program in ("sh", "install"):
                path = os.path.realpath(shutil.which(program) or program)
                tree.add(path, f"usr/bin/{program}")
                tree.add_libraries(libraries_of(Path(path)))
            # Wheels may need these, even where Python itself does not.
            [libc] = {path for path in libraries_of(Path(interpreter())) if "/libc.so" in path}
            names = (
                "libdl.so.2",
                "libgcc_s.so.1",
                "libpthread.so.0",
                "librt.so.1",
                "libstdc++.so.6",
            )
            libraries = (Path(libc).with_name(library) for library in names)
            tree.add_libraries(str(path) for path in libraries if path.exists())
            tree.link("bin", "usr/bin")
            tree.link("usr/bin/python", interpreter())
            tree.write("usr/bin/pip", '#!/bin/sh\nexec python -m pip "$@"\n')
        path = f"{Path(interpreter()).parent}:/usr/bin"
        self._import(name, tree, "--change", f"ENV PATH={path}")

    def _import(self, name: str, tree: _Tree, *options: str) -> None:
        self.import_image(name, tree.archive.getvalue(), *options)

    def import_image(self, name: str, archive: bytes, *options: str) -> None:
        """Make an image of an archive of files."""
        done = self._run("import", *options, "-", name, stdin=archive)
        assert done.returncode == 0, done.stderr

    def clear(self) -> None:
        """Remove the image, and its containers of a failed test."""
        remaining = self.containers()
        if remaining:
            self.say("rm", "--force", *remaining, check=False)
        self.say("rmi", "--force", IMAGE, check=False)

    def _run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._before, self.name, *words],
            input=stdin,
            env={**os.environ, **self.variables},
            capture_output=True,
            check=False,
            timeout=120,
        )


class _Tree:
    """Files of an image: those of Python, and what is added."""

    def __init__(self) -> None:
        self.archive = io.BytesIO()
        self._tar = tarfile.open(fileobj=self.archive, mode="w")  # noqa: SIM115 - closed at the exit
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        for path, name in _python_files():
            self.add(path, name)
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            self._tar.addfile(entry)
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def add(self, path: Path | str, name: str) -> None:
        # An engine refuses an archive that has a name twice.
        if name.lstrip("/") not in self._names:
            self._names.add(name.lstrip("/"))
            self._tar.add(path, name.lstrip("/"), filter=of_root)

    def add_libraries(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.add(os.path.realpath(path), path)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def write(self, name: str, program: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.size = 0o755, len(program)
        self._tar.addfile(entry, io.BytesIO(program.encode()))


def of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file to root, the only user that an engine without a range of ids knows."""
    entry.uid = entry.gid = 0
    return entry


def _podman_variables(folder: Path) -> dict[str, str]:
    """Write settings of podman, and return the variables that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    storage, engine = folder / "storage.conf", folder / "containers.conf"
    # Its driver is what the file system takes. Without root podman would look into a home.
    storage.write_text(
        f'[storage]\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
        f'rootless_storage_path = "{folder}/root"\n'
    )
    # The runtime that works with every layout of control groups, where it is there.
    runtime = 'runtime = "runc"\n' if shutil.which("runc") else ""
    engine.write_text(f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n{runtime}')
    return {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "CONTAINERS_CONF": str(engine),
        "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
    }


def interpreter() -> str:
    """The Python of the image, at the place that it has here."""
    return os.path.realpath(sys.executable)


def image(*words: str, **fields: Any) -> dict[str, Any]:
    """A `config.image` of the small container."""
    env = {"HOST": "0.0.0.0", **fields.pop("env", {})}
    command = [interpreter(), "/small_container.py", "{port}", *words]
    return {"image": IMAGE, "command": command, "env": env, **fields}


def _python_files() -> Iterator[tuple[str, str]]:
    """Iterate over the files that the interpreter needs, with their names in the image."""
    library = Path(sysconfig.get_path("stdlib")).resolve()
    files = [Path(interpreter())]
    for path in sorted(library.rglob("*")):
        name = str(path.relative_to(library))
        if path.is_file() and not _LEFT_OUT.search(name):
            files.append(path)
    shared = {Path(interpreter()), *(path for path in files if path.suffix == ".so")}
    linked = {library for path in shared for library in libraries_of(path)}
    for path in files:
        yield str(path), str(path).lstrip("/")
    for library_path in sorted(linked):
        yield os.path.realpath(library_path), library_path.lstrip("/")


def libraries_of(path: Path) -> list[str]:
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", listed.stdout)
