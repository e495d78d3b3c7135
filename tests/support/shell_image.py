"""Image with this machine's shell, and the few programs that a task needs."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

from tests.support.oci import EngineUnderTest, libraries_of, of_root

IMAGE = "localhost/small-shell:1"
_PROGRAMS = (
    "bash",
    "sh",
    "sleep",
    "cat",
    "mkdir",
    "chmod",
    "rm",
    "ls",
    "cp",
    "mv",
    "env",
    "tar",
    "gzip",
    "id",
    "test",
)
_FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "run", "app", "root")


def build_shell_image(engine: EngineUnderTest) -> None:
    """Import the image into an engine."""
    programs = [path for name in _PROGRAMS if (path := shutil.which(name))]
    libraries = {library for program in programs for library in libraries_of(Path(program))}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for program in programs:
            tar.add(os.path.realpath(program), f"bin/{Path(program).name}", filter=of_root)
        for library in sorted(libraries):
            tar.add(os.path.realpath(library), library.lstrip("/"), filter=of_root)
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        users = b"root:x:0:0:root:/root:/bin/bash\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        tar.addfile(entry, io.BytesIO(users))
    engine.import_image(IMAGE, archive.getvalue())
