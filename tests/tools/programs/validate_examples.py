"""Validate examples with the generated models; exit 1 for an invalid example."""

import json
import sys
from pathlib import Path

# Generated from openapi.yaml into the working directory.
import models
from pydantic import TypeAdapter, ValidationError

for name, examples in json.loads(Path(sys.argv[1]).read_text()).items():
    for example in examples:
        try:
            TypeAdapter(getattr(models, name)).validate_json(json.dumps(example))
        except ValidationError as error:
            sys.exit(f"{name}: {error}")
    print(f"{name}: valid")
