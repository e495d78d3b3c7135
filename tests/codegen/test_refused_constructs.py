"""Constructs that the generators would lose: each is a line that says where, and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.codegen.test_generation import make_root, run

# The line of the problem ends with `# here`.
DOCUMENT = """\
openapi: 3.1.0
info: {{title: Small, version: 1.0.0}}
paths:
{paths}
components:
  schemas:
    Free: {{type: object, additionalProperties: true}}
    Thing: {{type: object, required: [name], properties: {{name: {{type: string}}}}}}
    Part: {{type: object, properties: {{size: {{type: integer}}}}}}
{schemas}
"""
JSON_ANSWER = "{application/json: {schema: {$ref: '#/components/schemas/Free'}, example: {}}}"
ANSWERS = f"{{'200': {{description: Fine., content: {JSON_ANSWER}}}}}"
SCHEMA = "application/json: {schema: {$ref: '#/components/schemas/"


def operation(
    *lines: str,
    path: str = "/things",
    method: str = "get",
    responses: str = ANSWERS,
    name: str = "get_it",
) -> str:
    """Write an operation in YAML, with more lines of its own."""
    heads = ["  {}:", "    {}:", "      operationId: {}", "      responses: {}"]
    words = [path, method, name, responses]
    written = [
        head.format(word.removesuffix(" # here")) + (" # here" if word.endswith(" # here") else "")
        for head, word in zip(heads, words, strict=True)
    ]
    return "\n".join([*written, "      tags: [things]", *(f"      {line}" for line in lines)])


def parameter(node: str, path: str = "/things") -> str:
    return operation("parameters:", f"  - {{{node}, example: a}} # here", path=path)


def body(*contents: str, here: bool = True) -> str:
    mark = " # here" if here else ""
    lines = [f"    {content}{mark}" for content in contents]
    return operation("requestBody:", "  content:", *lines, method="post")


def of_kind(schema: str) -> str:
    return f"    Kind: {schema} # here"


TEXT = "schema: {type: string}"
# The paths, or the schemas beside an operation without a problem, and the message.
REFUSED = {
    "a path item elsewhere": (
        "  /others:\n    servers: [{url: 'https://elsewhere.example'}] # here\n" + operation(),
        "/others: servers is lost: write what it has in its place",
    ),
    "a server of its own": (
        operation("servers: [{url: 'https://elsewhere.example'}] # here"),
        "get_it: servers is lost: write it in api/openapi.yaml",
    ),
    "two parameters in a segment": (
        operation(path="/things/a.{b} # here"),
        "write /, and each parameter as a segment of its own, in snake case: /{pool_id}/",
    ),
    "a HEAD": (operation(method="head # here"), "no call has this method: write one of GET, PUT"),
    "a name in camel case": (
        operation(method="get # here", name="tryIt"),
        "GET /things: operationId tryIt is no name of a module: write 'try_it', or another",
    ),
    "a name of Python's": (
        operation(method="get # here", name="import"),
        "operationId import is no name of a module: write another in snake case",
    ),
    "a tag of two words": (
        operation(method="get # here").replace("[things]", "['Big Things']"),
        "tag Big Things is no name of a module: write 'big_things', or another",
    ),
    "a tag of the typed calls": (
        operation(method="get # here").replace("[things]", "[calls]"),
        "tag calls is no name of a module: write another in snake case",
    ),
    "a path without its slash": (
        operation(path="things # here"),
        "things: write /, and each parameter as a segment of its own",
    ),
    "one name in two places": (
        operation(
            "parameters:",
            f"  - {{name: kind, in: query, {TEXT}, example: a}}",
            f"  - {{name: kind, in: header, {TEXT}, example: a}}",
            method="get # here",
        ),
        "get_it: two parameters are called kind: write another name for one",
    ),
    "a parameter in camel case": (
        parameter(f"name: pageSize, in: query, {TEXT}"),
        "parameter pageSize has another name in programs: write 'page_size', or another",
    ),
    "a parameter called body": (
        parameter(f"name: body, in: query, {TEXT}"),
        "parameter body is a name that the client has for itself: write another",
    ),
    "the header with the key": (
        parameter(f"name: Authorization, in: header, {TEXT}"),
        "parameter Authorization is a name that the client has for itself: write another",
    ),
    "a parameter in JSON": (
        parameter("name: kind, in: query, content: {application/json: {schema: {type: object}}}"),
        "parameter kind is lost without a schema, as with content: write schema:",
    ),
    "a parameter as it is": (
        parameter(f"name: kind, in: query, allowReserved: true, {TEXT}"),
        "parameter kind: its value is percent-encoded: remove allowReserved",
    ),
    "a matrix": (
        parameter(f"name: id, in: path, required: true, style: matrix, {TEXT}", "/things/{id}"),
        "parameter id is not sent in the style matrix: write style: simple",
    ),
    "a list in a header": (
        parameter("name: X-Kinds, in: header, schema: {type: array, items: {type: string}}"),
        "parameter X-Kinds is a list or an object in a header: write type: string, and in its",
    ),
    "a list in a path": (
        parameter(
            "name: ids, in: path, required: true, schema: {type: array, items: {type: string}}",
            "/things/{ids}",
        ),
        "parameter ids is a list or an object in a path: write type: string",
    ),
    "a deepObject without an object": (
        parameter(f"name: kind, in: query, style: deepObject, {TEXT}"),
        "parameter kind is no object, which deepObject is for: write style: form",
    ),
    "pipes in an exploded list": (
        parameter(
            "name: kinds, in: query, style: pipeDelimited, explode: true, "
            "schema: {type: array, items: {type: string}}"
        ),
        "parameter kinds: pipeDelimited is for lists: write type: array and explode: false",
    ),
    "a list of objects in a query": (
        parameter(
            "name: kinds, in: query, "
            "schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}"
        ),
        "parameter kinds holds lists or objects in others: write a body",
    ),
    "an object in an object of a query": (
        parameter(
            "name: kinds, in: query, style: deepObject, schema: {type: object, "
            "properties: {a: {$ref: '#/components/schemas/Thing'}}}"
        ),
        "parameter kinds holds lists or objects in others: write a body",
    ),
    "a body of a GET": (
        operation("requestBody:", "  content: # here", f"    {SCHEMA}Thing'}}, example: {{}}}}"),
        "get_it: no server reads the body of a GET: write 'post:'",
    ),
    "a body of parts": (
        body(f"multipart/form-data: {{{TEXT}, example: a}}"),
        "its body of several parts is not sent: write application/octet-stream for one file",
    ),
    "a body of two types": (
        body(
            f"{SCHEMA}Thing'}}, example: {{}}}}", "application/octet-stream: {}", here=False
        ).replace("  content:", "  content: # here", 1),
        "get_it: its body has no media type, or several: write one",
    ),
    "a body of no type": (
        operation("requestBody:", "  content: {} # here", method="post"),
        "get_it: its body has no media type, or several: write one",
    ),
    "a list as a body": (
        body("application/json: {schema: {type: array, items: {type: string}}, example: [a]}"),
        "its body is no object: write one, with a property for what it holds now",
    ),
    "a patch by another type": (
        body(f"application/merge-patch+json: {{{TEXT}, example: a}}"),
        "its body is application/merge-patch+json: write a plain media type, as application/json",
    ),
    "an object as a text": (
        body("text/csv: {schema: {type: object, properties: {a: {type: string}}}, example: a}"),
        "is text/csv, so it is bytes, which no other schema describes: write schema: {type: string",
    ),
    "an object in a form": (
        body(
            "application/x-www-form-urlencoded: {schema: {type: object, "
            "properties: {a: {$ref: '#/components/schemas/Thing'}}}, example: {}}"
        ),
        "its body is a form: write an object of texts, numbers and lists of these",
    ),
    "an encoding in a form": (
        body(
            "application/x-www-form-urlencoded: {schema: {type: object, "
            "properties: {a: {type: string}}}, example: {}, encoding: {a: {style: form}}}"
        ),
        "its body: encoding is lost: write a body without it",
    ),
    "a body that needs what only answers have": (
        body(
            "application/json: {schema: {type: object, required: [a], "
            "properties: {a: {type: string, readOnly: true}}}, example: {}}"
        ),
        "its body requires a, which is readOnly: write a schema for requests without it",
    ),
    "bytes after a body": (
        body(f"{SCHEMA}Thing'}}, example: {{}}}}", here=False).replace(
            JSON_ANSWER, "{application/zip: {}}"
        ).replace("}}\n", "}} # here\n", 1),
        "a request with a body is answered by application/json: answer JSON with an id, and write",
    ),
    "two types of an answer": (
        operation(
            responses="{'200': {description: a, content: {text/csv: {schema: {type: string}, "
            f"example: a}}, {SCHEMA}Free'}}, example: {{}}}}}}}}}} # here"
        ),
        "its answer has several media types: write one of them; only text/event-stream stands",
    ),
    "a type of an answer with a parameter": (
        operation(
            responses="{'200': {description: a, content: "
            "{'application/json; charset=utf-8': {schema: {type: string}, example: a}}}} # here"
        ),
        "its answer is application/json; charset=utf-8: write a plain media type, as",
    ),
    "two bodies of success": (
        operation(
            responses=f"{{'200': {{description: a, content: {JSON_ANSWER}}}, "
            "'204': {description: b}} # here"
        ),
        "its successful answers differ, so that no type is theirs: write the same content for each",
    ),
    "a 204 with a body": (
        operation(responses=f"{{'204': {{description: a, content: {JSON_ANSWER}}}}} # here"),
        "get_it: an answer of 204 has no body: write 200, or remove its content",
    ),
    "a default answer": (
        operation(responses=f"{{default: {{description: a, content: {JSON_ANSWER}}}}} # here"),
        "get_it: default is no status: write each status, and a class of them as 5XX",
    ),
    "no success": (
        operation(responses="{'302': {description: a}} # here"),
        "get_it: its responses have no success: write one, as '200'",
    ),
    "a schema that is true": (
        of_kind("{type: object, properties: {a: true}}"),
        "components.schemas.Kind.a is true: write {} with 'Any JSON value' in its description",
    ),
    "a list of nothing known": (
        of_kind("{type: array}"),
        "components.schemas.Kind: a list without items: write items: with their schema",
    ),
    "a list of places": (
        of_kind("{type: array, prefixItems: [{type: string}]}"),
        "components.schemas.Kind: prefixItems is lost in the models: write an object with",
    ),
    "null in an enumeration": (
        of_kind("{type: [string, 'null'], enum: [a, null]}"),
        "null in an enumeration makes several classes: write anyOf: [{$ref: '#/components/schemas/",
    ),
    "an enumeration of numbers": (
        of_kind("{type: integer, enum: [1, 2]}"),
        "an enumeration is of texts: write texts, or type: integer with minimum: and maximum:",
    ),
    "a constant flag": (
        of_kind("{type: object, properties: {a: {const: true}}}"),
        "Kind.a: a constant is a text or a whole number: write its type alone",
    ),
    "nullable": (
        of_kind("{type: string, nullable: true}"),
        "Kind: nullable is lost in the models: write type: [string, 'null'], or anyOf:",
    ),
    "more beside a reference": (
        of_kind("{$ref: '#/components/schemas/Thing', minProperties: 1}"),
        "Kind: minProperties is lost beside $ref: write allOf: with both",
    ),
    "bytes in JSON": (
        of_kind("{type: object, properties: {a: {type: string, format: binary}}}"),
        "Kind.a: JSON holds no bytes: write contentEncoding: base64, or a body of",
    ),
    "a property of the models": (
        of_kind("{type: object, properties: {additional_properties: {type: string}}}"),
        "Kind: property additional_properties is a name that models have for themselves: write",
    ),
    "a property like the item of a list": (
        of_kind(
            "{type: object, properties: {a: {type: array, items: {type: string}}, "
            "a_item: {type: string}}}"
        ),
        "Kind: property a_item is a name that models have for themselves: write another",
    ),
    "a class of Python's": (
        "    Any: {type: object, properties: {a: {type: string}}} # here",
        "components.schemas.Any has no name of a class of ours: write another in Pascal case, as",
    ),
    "a schema in kebab case": (
        "    my-kind: {type: object, properties: {a: {type: string}}} # here",
        "write another in Pascal case, as MyKindValue",
    ),
    "a discriminator without constants": (
        of_kind(
            "{oneOf: [{$ref: '#/components/schemas/Thing'}, {$ref: '#/components/schemas/Part'}], "
            "discriminator: {propertyName: name}}"
        ),
        "Kind: the first of these objects that fits would be read: write a required name with a",
    ),
    "alternatives beside properties": (
        of_kind(
            "{type: object, properties: {a: {type: string}}, "
            "anyOf: [{$ref: '#/components/schemas/Thing'}]}"
        ),
        "Kind: anyOf is lost beside other properties: write the properties in each alternative",
    ),
    "a module of two schemas": (
        "    HTTPThing: {type: object}\n    HttpThing: {type: object} # here",
        "components.schemas.HttpThing has the module of HTTPThing: write another name",
    ),
    "a schema that is itself": (
        of_kind("{$ref: '#/components/schemas/Kind'}"),
        "components.schemas.Kind is defined by itself: write in $ref and allOf: what does not",
    ),
    "a part that is the whole": (
        of_kind("{allOf: [{allOf: [{$ref: '#/components/schemas/Kind'}]}]}"),
        "components.schemas.Kind is defined by itself",
    ),
    "a summary that is a number": (
        operation("summary: 404 # here"),
        "summary is 404; write a text",
    ),
    "a type misspelt": (
        of_kind("{type: object, properties: {a: {type: strin}}}"),
        "components.schemas.Kind.a: type strin is none of JSON Schema: write one of string",
    ),
    "alternatives that are alike": (
        operation(
            responses="{'200': {description: a, content: {application/json: {example: {}, "
            "schema: {oneOf: [{$ref: '#/components/schemas/Part'}, "
            "{$ref: '#/components/schemas/Thing'}]}}}}} # here"
        ),
        "the first of these objects that fits would be read: write a required property with a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_construct_is_refused_with_its_line_and_what_to_write(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    is_schema = text.startswith("    ") and not text.startswith("      ")
    paths, schemas = (operation(), text) if is_schema else (text, "")
    document = DOCUMENT.format(paths=paths, schemas=schemas)
    root = make_root(tmp_path, document)
    completed = run(root)
    assert (completed.returncode, completed.stdout) == (1, "")
    lines = document.splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.endswith("# here"))
    (line,) = completed.stderr.splitlines()
    assert line.startswith(f"generate: {root / 'api/openapi.yaml'}:{number}: "), (line, number)
    assert message in line
    assert not (root / "generated").exists()


def test_a_name_of_the_client_is_refused(tmp_path: Path) -> None:
    root = make_root(tmp_path, DOCUMENT.format(paths=operation(name="aclose"), schemas=""))
    (root / "synth_pools/_client/_async/client.py").write_text(
        '"""The client."""\n\n\nclass AsyncClient:\n    async def aclose(self) -> None:\n'
        '        """Close the connections."""\n',
        encoding="utf-8",
    )
    completed = run(root)
    assert completed.returncode == 1
    assert "openapi.yaml:5: operationId aclose is a name that the client has" in completed.stderr
