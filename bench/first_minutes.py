"""Time from an empty folder to a rollout of a first container.

`python -m bench.first_minutes --write PAGE` does what `docs/write-a-container.md` says, as on a
machine that has Python and a package index, and nothing else: no cache, no configuration.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_LIMIT = 600.0
_STEPS = (
    ("python3 -m venv .venv", ("{python}", "-m", "venv", ".venv")),
    (
        "pip install 'synth-pools[local,container]'",
        (".venv/bin/pip", "install", "--quiet", "{wheel}[local,container]"),
    ),
    ("python words.py", (".venv/bin/python", "words.py")),
)
_PAGE = """\
# The first minutes

From an empty folder to the reward of a rollout in a container of one's own: the program of
[write a container](../write-a-container.md), `words.py`, which starts a backend and a pool that
runs the container. Measured by `python -m bench.first_minutes` on {date}, with no cache of pip and
nothing compiled, from a package index over the network, on {machine}; the wheel of this package was
built before.

{table}

It printed:

```text
{output}
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.first_minutes", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    table, output = measure()
    print(table, output, sep="\n")
    if options.write is not None:
        machine = f"{os.cpu_count()} processors with {platform.system()}"
        machine += f" and Python {platform.python_version()}, which ran other programs too"
        date = datetime.now(UTC).date().isoformat()
        page = _PAGE.format(date=date, machine=machine, table=table, output=output)
        options.write.write_text(page)


def measure() -> tuple[str, str]:
    """Run the commands in an empty folder; return a table, and what the last one printed."""
    with tempfile.TemporaryDirectory() as place:
        folder, home, wheels = (Path(place, name) for name in ("work", "home", "wheels"))
        folder.mkdir()
        home.mkdir()
        build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels))
        subprocess.run((*build, str(_ROOT)), check=True, timeout=_LIMIT)
        [wheel] = wheels.iterdir()
        shutil.copy(_ROOT / "examples/words.py", folder)
        # The address of the index stays, and the way to it.
        variables = {name: text for name, text in os.environ.items() if _is_needed(name)}
        variables |= {"HOME": str(home), "PIP_NO_CACHE_DIR": "1"}
        head = "| command | seconds | of a processor |"
        lines, sums, output = [head, "|---|---|---|"], [0.0, 0.0], ""
        for label, words in _STEPS:
            command = [word.format(python=sys.executable, wheel=wheel) for word in words]
            before = _times()
            output = subprocess.run(
                command,
                cwd=folder,
                env=variables,
                check=True,
                timeout=_LIMIT,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            seconds = [end - start for start, end in zip(before, _times(), strict=True)]
            sums = [total + part for total, part in zip(sums, seconds, strict=True)]
            lines.append(f"| `{label}` | {seconds[0]:.1f} | {seconds[1]:.1f} |")
        lines.append(f"| all of it | {sums[0]:.1f} | {sums[1]:.1f} |")
        return "\n".join(lines), output.strip()


def _times() -> list[float]:
    """Return the time, and that of the processor that ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [time.monotonic(), used.ru_utime + used.ru_stime]


def _is_needed(name: str) -> bool:
    return name in ("PATH", "LANG") or name.startswith(("PIP_", "SSL_")) or name.endswith("_proxy")


if __name__ == "__main__":
    main()
