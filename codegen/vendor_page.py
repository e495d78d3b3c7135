"""Update the third-party modules of the live page: `python codegen/vendor_page.py`.

Each module comes from an npm package, in the version of the table below, and is committed with its
origin. A library that defines a global variable gets an export, so that browsers load it as a
module.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "synth_pools/ui/page/vendor"
MANIFEST = "manifest.json"
LICENCES = "licences.txt"
_SECONDS = 120


@dataclass(frozen=True)
class Source:
    """File of an npm package, and its name in the page."""

    file: str
    package: str
    version: str
    licence: str
    member: str
    # The global variable that it defines, if it is no module.
    variable: str | None = None


SOURCES = (
    Source("preact.js", "preact", "11.2.0", "MIT", "dist/preact.mjs"),
    Source("htm.js", "htm", "3.1.1", "Apache-2.0", "dist/htm.mjs"),
    Source("signals.js", "@preact/signals-core", "1.14.5", "MIT", "dist/signals-core.mjs"),
    Source("uplot.js", "uplot", "1.6.13", "MIT", "dist/uPlot.iife.min.js", "uPlot"),
    Source("uplot.css", "uplot", "1.6.13", "MIT", "dist/uPlot.min.css"),
)


def main() -> int:
    entries: list[dict[str, Any]] = []
    licences: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        archives: dict[tuple[str, str], Path] = {}
        for source in SOURCES:
            key = (source.package, source.version)
            if key not in archives:
                archives[key] = _pack(source, Path(folder))
            with tarfile.open(archives[key]) as archive:
                text = adapted(source, _text(archive, source.member))
                licences[source.package] = _text(archive, "LICENSE")
            (TARGET / source.file).write_text(text, encoding="utf-8")
            entries.append(
                {
                    "file": source.file,
                    "package": source.package,
                    "version": source.version,
                    "licence": source.licence,
                    "member": source.member,
                    "integrity": _integrity(archives[key].read_bytes()),
                    "sha256": hashlib.sha256(text.encode()).hexdigest(),
                }
            )
    (TARGET / MANIFEST).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    texts = (f"{package}\n\n{text.strip()}\n" for package, text in sorted(licences.items()))
    (TARGET / LICENCES).write_text(f"\n{'-' * 72}\n\n".join(texts), encoding="utf-8")
    print(f"{len(entries)} files in {TARGET}")
    return 0


def adapted(source: Source, text: str) -> str:
    """Return a file of a package as a module for browsers, without a source map."""
    lines = [line for line in text.splitlines() if not line.startswith("//# sourceMappingURL=")]
    text = "\n".join(lines).strip() + "\n"
    if source.variable is not None:
        text += f"export default {source.variable};\n"
    return text


def _pack(source: Source, folder: Path) -> Path:
    """Fetch a package with npm, which verifies its checksum."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is needed: install node")
    result = subprocess.run(
        [npm, "pack", "--silent", "--json", f"{source.package}@{source.version}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    [packed] = json.loads(result.stdout)
    return folder / str(packed["filename"])


def _text(archive: tarfile.TarFile, member: str) -> str:
    file = archive.extractfile(f"package/{member}")
    if file is None:
        raise ValueError(f"{member} is no file")
    return file.read().decode("utf-8")


def _integrity(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")


if __name__ == "__main__":
    sys.exit(main())
