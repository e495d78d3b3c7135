"""Operations with constructs that openapi.yaml does not use yet, for a copy of the repository."""

from __future__ import annotations

import shutil
from pathlib import Path

REPO = Path(__file__).parents[2]

OPERATION = """\
  {path}:
    parameters: [{parameter}]
    {method}:
      operationId: {name}
      tags:
        - pools
      summary: Try a construct
      description: It has what the others do not have yet.
      x-retry: always
{more}
      responses:
        '200':
          description: It.
          content:
            {answer}
"""
ANSWER = "application/json: {schema: {$ref: '#/components/schemas/JsonObject'}, example: {}}"
QUERY = {
    "filter": "style: deepObject, schema: {type: object, properties: {state: {type: string}, "
    "depth: {type: integer}}, additionalProperties: {type: string}}",
    "tags": "explode: false, schema: {type: array, items: {type: string}}",
    "sizes": "style: pipeDelimited, explode: false, schema: {type: array, items: {type: integer}}",
    "words": "style: spaceDelimited, explode: false, schema: {type: array, items: {type: string}}",
    "kinds": "schema: {type: array, items: {type: string, enum: [a, b]}}",
    "bounds": "schema: {type: object, properties: {low: {type: integer}, high: {type: integer}}}",
    "pair": "explode: false, schema: {type: object, properties: {low: {type: integer}}}",
    "from": "schema: {type: string}",
    "to": "schema: {type: string}",
    "since": "schema: {type: string, format: date-time}",
    "exact": "schema: {type: boolean}",
    "ratio": "schema: {type: number}",
    "either": "schema: {anyOf: [{type: integer}, {type: string}]}",
}
SESSION = "        - {name: session, in: cookie, schema: {type: string}, example: a}"
PARAMETERS = "\n".join(
    [
        "      parameters:",
        *(
            f"        - {{name: {name}, in: query, {text}, example: a}}"
            for name, text in QUERY.items()
        ),
        "        - {name: X-Depth, in: header, schema: {type: integer}, example: 1}",
        "        - {name: X-Whole, in: header, schema: {type: boolean}, example: true}",
        SESSION,
    ]
)


def body(media: str, schema: str, *, required: str = "true") -> str:
    content = f"{media}: {{schema: {schema}, example: {{name: n}}}}" if schema else f"{media}: {{}}"
    return (
        f"      requestBody:\n        required: {required}\n        content:\n          {content}"
    )


def reference(name: str) -> str:
    return f"{{$ref: '#/components/schemas/{name}'}}"


OPERATIONS = [
    ("search", "get", "search_pool", PARAMETERS, ANSWER),
    (
        "blob",
        "put",
        "upload_pool_blob",
        f"      parameters:\n{SESSION}\n" + body("application/octet-stream", ""),
        ANSWER,
    ),
    (
        "note",
        "post",
        "write_pool_note",
        body("text/plain", "{type: string}", required="false"),
        ANSWER,
    ),
    (
        "form",
        "post",
        "submit_pool_form",
        body("application/x-www-form-urlencoded", reference("PoolForm")),
        ANSWER,
    ),
    (
        "choice",
        "post",
        "choose_in_pool",
        body("application/json", reference("PoolChoice")),
        f"application/json: {{schema: {reference('PoolChoice')}, example: {{}}}}",
    ),
    (
        "tree",
        "post",
        "plant_pool_tree",
        body("application/json", reference("PoolTree")),
        f"application/json: {{schema: {reference('PoolTree')}, example: {{}}}}",
    ),
    ("table", "get", "get_pool_table", "", "text/csv: {schema: {type: string}, example: 'a,b'}"),
    ("/v1/report", "get", "get_report", "", "text/csv: {schema: {type: string}, example: 'a,b'}"),
    (
        "either",
        "post",
        "either_in_pool",
        body(
            "application/json", f"{{oneOf: [{reference('PoolForm')}, {reference('JsonObject')}]}}"
        ),
        ANSWER,
    ),
]
SCHEMAS = """\
PoolForm:
  type: object
  required: [name]
  properties:
    name: {type: string}
    count: {type: integer}
    labels: {type: array, items: {type: string}}
    from: {type: string}
PoolChoice:
  oneOf: [{$ref: '#/components/schemas/LimitChoice'}, {$ref: '#/components/schemas/NameChoice'}]
  discriminator: {propertyName: kind}
LimitChoice:
  type: object
  required: [kind]
  properties: {kind: {const: limit}, limit: {type: integer}}
NameChoice:
  type: object
  required: [kind]
  properties: {kind: {const: name}, name: {type: string}}
TreeKind:
  type: string
  enum: [oak, elm]
NamedTree:
  type: object
  required: [name]
  properties: {name: {type: string}, x-size: {type: integer}}
PoolTree:
  description: A tree of trees.
  minProperties: 1
  anyOf: [{required: [kind]}, {required: [species]}]
  properties:
    kind: {anyOf: [{$ref: '#/components/schemas/TreeKind'}, {type: 'null'}]}
    branches: {type: array, items: {$ref: '#/components/schemas/PoolTree'}}
    parent: {anyOf: [{$ref: '#/components/schemas/PoolTree'}, {type: 'null'}]}
    ages: {type: object, additionalProperties: {type: integer}}
    notes: {type: object, additionalProperties: {$ref: '#/components/schemas/JsonObject'}}
    soil: {type: object, default: {wet: true}, properties: {wet: {type: boolean, default: true}}}
    planted_on: {type: string, format: date}
    seen_at: {type: string, format: date-time}
    species: {const: tree}
    image: {type: string, contentEncoding: base64}
  allOf: [{$ref: '#/components/schemas/NamedTree'}]
"""


# Handlers of a backend that answer what it has read, or the body alone.
HANDLERS = """

async def _echo(request: Any) -> Any:
    import json

    from synth_pools.backend.api.responses import JSONResponse

    read = dict(parameters=request.parameters, body=request.body, size=len(request.raw_body))
    answer = request.body if request.operation.id in {bodies} else read
    return JSONResponse(200, json.dumps(answer).encode())


HANDLERS = {{**HANDLERS, **dict.fromkeys({names}, _echo)}}
"""


def copy_with_constructs(root: Path) -> None:
    """Copy what programs need, with the operations in the document and the backend."""
    for name in ("synth_pools", "generated", "codegen/templates", "api"):
        shutil.copytree(REPO / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "container.openapi.yaml",
        "generator_config.yml",
        "openapi.yaml",
        "pyproject.toml",
    ):
        shutil.copy(REPO / name, root / name)
    with (root / "api/paths/pools.yaml").open("a", encoding="utf-8") as part:
        for path, method, name, more, answer in OPERATIONS:
            full_path = path if path.startswith("/") else f"/v1/pools/{{pool_id}}/{path}"
            text = OPERATION.format(
                path=full_path,
                parameter="{$ref: '#/components/parameters/PoolId'}" if full_path != path else "",
                method=method,
                name=name,
                more=more,
                answer=answer,
            )
            part.write("".join(line[2:] for line in text.splitlines(keepends=True) if line.strip()))
    names = [name for _, _, name, _, _ in OPERATIONS]
    handlers = HANDLERS.format(names=names, bodies=["choose_in_pool", "plant_pool_tree"])
    with (root / "synth_pools/backend/api/handlers/__init__.py").open(
        "a", encoding="utf-8"
    ) as module:
        module.write(handlers)
    with (root / "api/schemas/pools.yaml").open("a", encoding="utf-8") as part:
        part.write(SCHEMAS)
