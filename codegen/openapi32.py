"""The document as OpenAPI 3.2, which can describe the items of a stream of events.

    python codegen/openapi32.py FOLDER     write it there; `make build` and `make docs` do

`openapi.yaml` is 3.1, which most tools read: there the schema of a stream is that of one event. In
3.2 the stream has an `itemSchema`, the message with its `id:`, `event:` and `data:`, whose data is
the event as JSON, and the text of an example is a `serializedValue`.
"""

from __future__ import annotations

import copy
import sys
from io import StringIO
from pathlib import Path
from typing import Any

# As a script, Python would import the modules of this folder in place of other packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ruamel.yaml import YAML

from codegen import CodegenError
from codegen.parts import SPEC, split_banner

NAME = "openapi-3.2.yaml"
_VERSION = "3.2.0"
_STREAM = "text/event-stream"
_BANNER = "# Derived from openapi.yaml.\n"
# A line break inside a string would change it.
_WIDTH = 4096


def write(spec: Path, folder: Path) -> None:
    """Write the document at `spec` as one of OpenAPI 3.2 into a folder, created if missing.

    Raises:
        CodegenError: A stream has no schema of its events.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(derive(spec), encoding="utf-8", newline="\n")


def derive(spec: Path) -> str:
    """Return the document at `spec` as one of OpenAPI 3.2.

    Raises:
        CodegenError: A stream has no schema of its events.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    document = yaml.load(split_banner(spec.read_text(encoding="utf-8"))[1])
    document["openapi"] = _VERSION
    texts: set[str] = set()
    for path, item in document.get("paths", {}).items():
        for operation in item.values():
            responses = operation.get("responses", {}) if isinstance(operation, dict) else {}
            for response in responses.values():
                media = response.get("content", {}).get(_STREAM)
                if media is not None:
                    texts |= _describe(media, path)
    for name in sorted(texts):
        example = document["components"]["examples"][name]
        position = list(example).index("value")
        example.insert(position, "serializedValue", example.pop("value"))
    output = StringIO()
    yaml.dump(document, output)
    return _BANNER + output.getvalue()


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _describe(media: Any, path: str) -> set[str]:
    """Give a stream its `itemSchema`, and return the names of its examples."""
    schema = media.pop("schema", None)
    if schema is None:
        raise CodegenError(f"{path}: a stream without the schema of its events")
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": copy.deepcopy(schema),
    }
    properties = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    media.insert(
        0, "itemSchema", {"type": "object", "required": list(properties), "properties": properties}
    )
    references = [example.get("$ref", "") for example in media.get("examples", {}).values()]
    return {reference.rpartition("/")[2] for reference in references if reference}


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[1] / SPEC, Path(sys.argv[1]))
