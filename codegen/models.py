"""Adaptation of the generated models: strict about required properties, lenient to older servers.

The generator reads a view of the document, and its models are edited as text. If a text to edit is
missing, that is an error: a new version of the generator never gives a weaker model.
"""

from __future__ import annotations

import copy
import re
import textwrap
from typing import Any, ClassVar

from openapi_python_client import Project
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.properties import AnyProperty, LiteralEnumProperty, ModelProperty
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.file import FileProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.string import StringProperty
from openapi_python_client.parser.properties.union import UnionProperty

from codegen import CodegenError
from codegen.operation_rules import EVENTS, FORM, JSON
from codegen.references import resolve
from synth_pools.spec.changes.parsing import iter_parts, kind_of

# Names of a property in answers of older servers, or "absent".
OLDER = "x-older-servers"
# An enumeration that may grow: readers get unknown values.
OPEN = "x-open-enum"
FREE_FORM = "JsonObject"
# Media type by which the generator knows bytes.
BYTES = "application/octet-stream"

_READERS = {
    StringProperty: "read_text",
    IntProperty: "read_integer",
    FloatProperty: "read_number",
    BooleanProperty: "read_flag",
    LiteralEnumProperty: "read_text",
}
# Text of the generator that reads a property of several types.
_UNION = r" *def _parse_{0}\(data: object\)(?:(?!\bdef ).)*?\n( *){0} = _parse_{0}\(([^\n]*)\)\n"
_TRY = re.compile(
    r" *try:\n(.*?) *except \(TypeError, ValueError, AttributeError, KeyError\):\n *pass\n"
    r" *return cast\([^\n]*\n",
    re.DOTALL,
)


class FreeFormProperty(AnyProperty):
    """JSON object without described properties: a plain dictionary."""

    _type_string: ClassVar[str] = "dict[str, Any]"
    _json_type_string: ClassVar[str] = "dict[str, Any]"


class BytesProperty(AnyProperty):
    """Body that is sent as it is."""

    _type_string: ClassVar[str] = "bytes"
    _json_type_string: ClassVar[str] = "bytes"


def view(document: dict[str, Any]) -> dict[str, Any]:
    """Return the view of the document for the generator of models.

    It has no defaults: a model sends only properties that were set, else a patch would reset the
    rest. Properties that older servers omit are optional, unless they have an empty value.
    Parameters are texts, numbers, flags, and lists and objects of these.
    """
    adapted = copy.deepcopy(document)
    _simplify(adapted)
    for schema in _schemas(adapted).values():
        _join_alternatives(schema)
        required = schema.get("required", [])
        for name, described in schema.get("properties", {}).items():
            # The generator makes a literal of a constant, and a class of an enumeration.
            if len(described.get("enum", ())) == 1:
                described["const"] = described.pop("enum")[0]
            if described.get(OLDER) == "absent" and not _empty(adapted, described):
                required.remove(name)
    return adapted


def media_types_of_bytes(document: dict[str, Any]) -> set[str]:
    """Find the media types whose content neither the models nor a form describe."""
    contents = (
        set(node)
        for pointer, node in iter_parts(document)
        if pointer[-1:] == ("content",) and kind_of(pointer) == "names"
    )
    return set().union(*contents) - {JSON, FORM}


def adapt(data: GeneratorData) -> None:
    """Turn free-form objects of the parsed document into dictionaries, and files into bytes."""
    for collection in data.endpoint_collections_by_tag.values():
        for body in (body for endpoint in collection.endpoints for body in endpoint.bodies):
            if isinstance(body.prop, FileProperty):
                body.prop = _replaced(BytesProperty, body.prop)
    for model in data.models:
        extra = model.additional_properties
        if isinstance(extra, ModelProperty) and extra.class_info.name == FREE_FORM:
            model.additional_properties = _without_free_form(extra)
        for properties in (model.required_properties or [], model.optional_properties or []):
            properties[:] = [_without_free_form(field) for field in properties]
        unused = f"import {FREE_FORM}"
        model.set_relative_imports({i for i in model.relative_imports or () if unused not in i})
        model.set_lazy_imports({i for i in model.lazy_imports or () if unused not in i})


def equip(project: Project, document: dict[str, Any]) -> None:
    """Give the templates the functions that adapt models."""
    schemas = _schemas(document)
    project.env.globals["open_enums"] = {name for name, node in schemas.items() if node.get(OPEN)}
    project.env.filters["finish_model"] = lambda text, model: _finish(document, text, model)


def _simplify(document: dict[str, Any]) -> None:
    """Write in other words what the generator would lose, and remove what it would act on."""
    for pointer, node in [*iter_parts(document)]:
        if not isinstance(node, dict) or kind_of(pointer) == "data":
            continue
        if pointer[-1:] == ("content",) and kind_of(pointer) == "names":
            for media in node.keys() - {JSON, FORM, EVENTS}:
                node[media]["schema"] = {"type": "string", "format": "binary"}
        elif kind_of(pointer) == "object" and {"in", "name", "schema"} <= node.keys():
            is_path = node["in"] == "path"
            node["schema"] = {"type": "string"} if is_path else _plain(document, node["schema"])
        elif kind_of(pointer) == "object":
            if "parameters" not in pointer:
                node.pop("default", None)
            for key in ("anyOf", "oneOf"):
                if all(part.keys() <= {"required", "not"} for part in node.get(key, ())):
                    # A class cannot require one of several properties.
                    node.pop(key, None)
            if "allOf" in node:
                # The generator takes a single part for the whole.
                more = {key: node.pop(key) for key in ("properties", "required") if key in node}
                node["allOf"] += [{"type": "object", **more}] if more else []


def _plain(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without formats, for which programs have other types."""
    target = resolve(document, schema)
    plain = (
        {key: target[key] for key in target if key != "format"} if "format" in target else schema
    )
    if "items" in plain:
        plain = {**plain, "items": _plain(document, plain["items"])}
    if "properties" in plain:
        fields = {key: _plain(document, field) for key, field in plain["properties"].items()}
        plain = {**plain, "properties": fields}
    return plain


def _join_alternatives(schema: dict[str, Any]) -> None:
    """Merge alternatives that differ only in `required` into one object.

    A class cannot require one of several properties; the generator would make a union.
    """
    parts = schema.get("anyOf", [{}])
    if all(part.get("properties") for part in parts):
        shapes = [{**part, "required": None} for part in parts]
        if shapes.count(shapes[0]) == len(shapes):
            del schema["anyOf"]
            always = [set(part.get("required", ())) for part in parts]
            needed = sorted(set.intersection(*always))
            schema.update({**parts[0], "required": needed})


def _schemas(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.get("components", {}).get("schemas", {})
    return {name: node for name, node in schemas.items() if isinstance(node, dict)}


def _empty(document: dict[str, Any], described: dict[str, Any]) -> str | None:
    """Return the code of the empty value of a list or object."""
    if described.get("type") == "array":
        return "[]"
    name = described.get("$ref", "").rpartition("/")[2]
    is_object = _schemas(document).get(name, described).get("type") == "object"
    return "{}" if is_object else None


def _without_free_form(field: Any) -> Any:
    if isinstance(field, ModelProperty) and field.class_info.name == FREE_FORM:
        return _replaced(FreeFormProperty, field)
    if isinstance(field, UnionProperty):
        field.inner_properties[:] = [_without_free_form(inner) for inner in field.inner_properties]
    if isinstance(field, ListProperty):
        field.inner_property = _without_free_form(field.inner_property)
    return field


def _replaced(kind: type[AnyProperty], field: Any) -> AnyProperty:
    return kind(
        name=field.name,
        required=field.required,
        default=None,
        python_name=field.python_name,
        description=field.description,
        example=None,
    )


def _finish(document: dict[str, Any], text: str, model: ModelProperty) -> str:
    """Adapt the text of a model: strict about required properties, lenient to older servers."""
    schema = _schemas(document).get(str(model.class_info.name), {})
    readers: set[str] = set()

    def replace(old: str, new: str) -> None:
        nonlocal text
        if text.count(old) != 1:
            raise CodegenError(f"{model.class_info.name}: the generator wrote no {old!r}")
        text = text.replace(old, new)

    for field in model.required_properties or ():
        name = field.name.get_untrusted_value()
        described = schema.get("properties", {}).get(name, {})
        source = _source(document, field, name, described, readers)
        reader = _reader(field)
        if reader is not None:
            readers.add(reader)
            source = f'{reader}({source}, "{name}")'
        replace(f'd.pop("{name}")', source)
    for field in (*(model.required_properties or ()), *(model.optional_properties or ())):
        if isinstance(field, UnionProperty):
            old, new = _union(text, field, readers)
            replace(old, new)
    if not model.additional_properties:
        readers.add("refuse_keys")
        construction = f"{model.class_info.module_name} = cls("
        replace(construction, f"refuse_keys(d, cls)\n        {construction}")
    return _with_imports(text, readers)


def _source(
    document: dict[str, Any], field: Any, name: str, described: dict[str, Any], readers: set[str]
) -> str:
    """Return the code that reads a required property of an answer."""
    older = described.get(OLDER, [])
    nullable = isinstance(field, UnionProperty) and any(
        isinstance(inner, NoneProperty) for inner in field.inner_properties
    )
    default = "None" if nullable else None
    if older == "absent":
        default, older = default or _empty(document, described), []
    more = f", default={default}" if default and older else f", {default}" if default else ""
    if not older:
        return f'd.pop("{name}"{more})'
    readers.add("pop_older")
    names = ", ".join(f'"{key}"' for key in (name, *older))
    return f"pop_older(d, src_dict, {names}{more})"


def _reader(field: Any) -> str | None:
    if isinstance(field, FreeFormProperty):
        return "read_object"
    return next((name for kind, name in _READERS.items() if type(field) is kind), None)


def _union(text: str, union: UnionProperty, readers: set[str]) -> tuple[str, str]:
    """Return the text of the generator that reads a union, and its replacement.

    Without the replacement a value of no type of the union would be accepted.
    """
    name = str(union.python_name)
    match = re.search(_UNION.format(name), text, re.DOTALL)
    if match is None:
        raise CodegenError(f"the generator wrote nothing that parses {name}")
    old, blank, source = match[0], match[1], match[2]
    json_name = union.name.get_untrusted_value()
    kinds = [kind for kind in union.inner_properties if not isinstance(kind, NoneProperty)]
    nullable = len(kinds) < len(union.inner_properties)
    if all(_reader(kind) == "read_text" for kind in kinds):
        # Any text: its enumerated values are for people.
        kinds = kinds[-1:] if isinstance(kinds[-1], StringProperty) else kinds
    if len(kinds) > 1:
        objects = all(isinstance(kind, FreeFormProperty | ModelProperty) for kind in kinds)
        if objects and union.required and not nullable:
            readers.add("read_object")
            checked = f'read_object({source}, "{json_name}")'
            return old, old.replace(f"_parse_{name}({source})", f"_parse_{name}({checked})")
        return old, old
    reader = _reader(kinds[0])
    if isinstance(kinds[0], LiteralEnumProperty):
        readers.add("read_choice")
        check = f"check_{kinds[0].get_class_name_snake_case()}"
        return old, f"{blank}{name} = read_choice({source}, {check})\n"
    if reader is None:
        readers.add("wrong_type")
        return old, _TRY.sub(lambda tried: _certain(tried[1], blank, json_name), old)
    readers.add(reader)
    if not nullable and union.required:
        return old, f'{blank}{name} = {reader}({source}, "{json_name}")\n'
    readers.add("read_optional")
    return old, f'{blank}{name} = read_optional({source}, {reader}, "{json_name}")\n'


def _certain(tried: str, blank: str, name: str) -> str:
    """Let the only type of a union raise its error, where the generator suppresses it."""
    body = textwrap.indent(textwrap.dedent(tried), f"{blank}    ")
    return body.replace("raise TypeError()", f'raise wrong_type(data, "{name}")')


def _with_imports(text: str, readers: set[str]) -> str:
    if not readers:
        return text
    line = "from ..types import UNSET, Unset\n"
    if line not in text:
        raise CodegenError("the generator imports no UNSET into its models")
    return text.replace(line, f"{line}from ..reading import {', '.join(sorted(readers))}\n")
