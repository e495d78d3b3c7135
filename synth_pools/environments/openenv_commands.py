"""Commands that serve a folder or an image of OpenEnv."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from synth_pools.container import SetupError
from synth_pools.environments.leftovers import ENGINES, open_folder

IMAGE = "docker://"
# The port of the images that `openenv build` makes.
_IMAGE_PORT = 8000
# Both end with this process, however this one ends.
_SERVE_FOLDER = """
import os, signal, socket, sys, threading, time, uvicorn
def end():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3)
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
server = uvicorn.Server(uvicorn.Config(sys.argv[1], log_level="warning"))
server.run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
sys.exit(not server.started)
"""
_SERVE_IMAGE = """
import os, subprocess, sys, threading
engine, name, *words = sys.argv[1:]
ending = threading.Event()
def end():
    os.read(0, 1)
    ending.set()
    process.kill()
    # The program of an image may heed no other signal.
    for command in (["kill", name], ["rm", "--force", name]):
        subprocess.run([engine, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os._exit(1)
command = [engine, "run", "--rm", "--name", name, *words]
process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
thread = threading.Thread(target=end, daemon=True)
thread.start()
status = process.wait()
if ending.is_set():
    thread.join()
sys.exit(status)
"""


def folder_command(name: str) -> tuple[list[str], Path]:
    """Return the command that serves a folder made by `openenv init`, and where to run it.

    Raises:
        SetupError: There is no such folder, or OpenEnv is not installed for it.
    """
    folder = Path(name).resolve()
    manifest = folder / "openenv.yaml"
    if not manifest.is_file():
        raise SetupError(
            f"There is no {manifest}: name a folder made by `openenv init`, the URL of a server, "
            f"or an image as {IMAGE}NAME."
        )
    # Its value is a word: no parser of YAML is needed.
    app = re.search(r"^app:\s*['\"]?([\w.:]+)", manifest.read_text(), re.MULTILINE)
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        if importlib.util.find_spec("openenv") is None:
            raise SetupError(
                f"OpenEnv is not installed for {folder}: run `uv sync` there, or "
                "`synth-pools env install openenv openenv-core`, with what it needs besides."
            )
        python = Path(sys.executable)
    words = [app[1] if app else "server.app:app", "{socket}"]
    return [str(python), "-c", _SERVE_FOLDER, *words], folder


def image_command(image: str) -> tuple[list[str], Path]:
    """Return the command that runs an image by an engine of this machine, and where to run it.

    Raises:
        SetupError: No engine works here.
    """
    for engine in filter(shutil.which, ENGINES):
        if subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            folder = open_folder("openenv")
            publish = ["--publish", f"127.0.0.1:{{port}}:{_IMAGE_PORT}"]
            words = [engine, folder.name, *publish, "--", image]
            return [sys.executable, "-c", _SERVE_IMAGE, *words], folder
    raise SetupError(f"An image needs one of {', '.join(ENGINES)}, and none works here.")
