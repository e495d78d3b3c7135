"""Validate examples by the generated models; exit 1 where one is not valid."""

import json
import sys
from pathlib import Path

# Generated from openapi.yaml, beside this program's working directory.
import models
from pydantic import TypeAdapter, ValidationError

for name, examples in json.loads(Path(sys.argv[1]).read_text()).items():
    for example in examples:
        try:
            TypeAdapter(getattr(models, name)).validate_json(json.dumps(example))
        except ValidationError as error:
            sys.exit(f"{name}: {error}")
    print(f"{name}: valid")
