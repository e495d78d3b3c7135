"""Comparison of what an operation is sent and answers: parameters, bodies, headers, statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from synth_pools.spec.changes.operations import Node, Operation, resolved
from synth_pools.spec.changes.schemas import SchemaComparison, same_components
from synth_pools.spec.changes.source import OpenApiFile
from synth_pools.spec.changes.verdicts import REQUEST, RESPONSE
from synth_pools.spec.changes.views import SchemaReader, SchemaView

# Kind, direction, place and text of a change.
Change = tuple[str, str, str, str]

_FORM = "application/x-www-form-urlencoded"
_PREFIXED = ("label", "matrix")
_SEPARATED = {"array", "object"}
_TOLERANCES = ("allowReserved", "allowEmptyValue")


class BodyComparison:
    """Comparison of the operations of two documents."""

    def __init__(self, old: OpenApiFile, new: OpenApiFile) -> None:
        self._old, self._new = old, new
        self._readers = SchemaReader(old), SchemaReader(new)
        same = same_components(old, new)
        self._schemas = {
            direction: SchemaComparison(*self._readers, direction, same)
            for direction in (REQUEST, RESPONSE)
        }

    def compare(
        self, old: Operation, new: Operation, sent: str, answered: str, renamed: Mapping[str, str]
    ) -> Iterator[Change]:
        """Yield the changes of an operation.

        Args:
            old: The operation in the old document.
            new: The same in the new one.
            sent: The direction of its requests.
            answered: The direction of its answers.
            renamed: The new names of its path parameters by the old ones.
        """
        yield from self._parameters(old, new, sent, renamed)
        yield from self._request_body(old.node, new.node, sent)
        yield from self._responses(old.node, new.node, answered)

    def _resolved(self, old: Any, new: Any) -> tuple[Node, Node]:
        return resolved(self._old, old) or {}, resolved(self._new, new) or {}

    def _compare(
        self, direction: str, old: Any, new: Any, place: str, *, text: bool = False
    ) -> Iterator[Change]:
        for finding in self._schemas[direction].compare(old, new, place, text=text):
            yield finding.kind, direction, finding.place, finding.text

    def _parameters(
        self, old: Operation, new: Operation, direction: str, renamed: Mapping[str, str]
    ) -> Iterator[Change]:
        names = {f"path parameter {a}": f"path parameter {b}" for a, b in renamed.items()}
        before = {names.get(key, key): node for key, node in old.parameters.items()}
        for key in before:
            if key not in new.parameters:
                yield "parameter-removed", direction, key, "removed"
        for key, parameter in new.parameters.items():
            former = before.get(key)
            if former is None:
                needed = parameter.get("required") is True
                kind = "required-parameter-added" if needed else "parameter-added"
                yield kind, direction, key, "added"
            else:
                yield from _needed("parameter", former, parameter, direction, key)
                yield from self._values(former, parameter, direction, key)

    def _values(self, old: Node, new: Node, direction: str, place: str) -> Iterator[Change]:
        """Compare how the values of a parameter are written, and which it may have."""
        kinds = [_written_as(node) for node in (old, new)]
        if kinds[0] != kinds[1]:
            yield "parameter-style-changed", direction, place, f"{kinds[0]} -> {kinds[1]}"
            return
        nodes = [_schema_of(node) for node in (old, new)]
        if kinds[0] != "schema":
            yield from self._compare(direction, nodes[0], nodes[1], place)
            return
        views = [reader.view(node) for reader, node in zip(self._readers, nodes, strict=True)]
        styles = [_style(node) for node in (old, new)]
        if styles[0] == styles[1] == ("form", True) and direction == REQUEST:
            was_list, is_list = (view.types & _SEPARATED == {"array"} for view in views)
            if was_list != is_list and not views[not is_list].types & _SEPARATED:
                yield from self._list_values(views, is_list, direction, place)
                return
        yield from _compare_styles(styles, views, direction, place)
        for word in _TOLERANCES:
            before, after = (node.get(word) is True for node in (old, new))
            if before != after:
                kind = "parameter-style-loosened" if after else "parameter-style-changed"
                yield kind, direction, place, f"{word} {before} -> {after}".lower()
        yield from self._compare(direction, nodes[0], nodes[1], place, text=True)

    def _list_values(
        self, views: list[SchemaView], is_list: bool, direction: str, place: str
    ) -> Iterator[Change]:
        """Compare a value alone with a list, in whose style one value is written as if alone."""
        old, new = views
        if not is_list:
            yield "type-narrowed", direction, place, "a value alone"
        elif new.sizes.get("minItems", 0) > 1:
            yield "type-changed", direction, place, "a list of several values"
        else:
            yield "type-widened", direction, place, "a list of values"
        alone, several = (old, new) if is_list else (new, old)
        default, defaults = (view.annotations.get("default") for view in (alone, several))
        if defaults != (None if default is None else [default]) and defaults != default:
            yield "default-changed", direction, place, f"default {default} and {defaults}"
        first, second = (
            replace(view, types=view.types - {"null"}) if view is alone else reader.view(view.items)
            for reader, view in zip(self._readers, views, strict=True)
        )
        for finding in self._schemas[direction].compare_views(first, second, place, text=True):
            if not finding.kind.startswith("default-"):
                yield finding.kind, direction, finding.place, finding.text

    def _request_body(self, old: Node, new: Node, direction: str) -> Iterator[Change]:
        before = resolved(self._old, old.get("requestBody"))
        after = resolved(self._new, new.get("requestBody"))
        place = "body"
        if before is not None and after is not None:
            yield from _needed("body", before, after, direction, place)
            yield from self._content(before, after, direction, place)
        elif after is not None:
            needed = after.get("required") is True
            yield "body-made-required" if needed else "body-added", direction, place, "added"
        elif before is not None:
            yield "body-removed", direction, place, "removed"

    def _content(self, old: Node, new: Node, direction: str, place: str) -> Iterator[Change]:
        before, after = _by_media(old), _by_media(new)
        for media in before:
            if _covering(after, media) is None:
                yield "media-type-removed", direction, place, f"{media} removed"
        for media, node in after.items():
            former = _covering(before, media)
            if former is None:
                yield "media-type-added", direction, place, f"{media} added"
                # A range stands for the media types that it takes the place of.
                former = next((before[key] for key in before if _is_range_of(media, key)), None)
            if former is None:
                continue
            first, second = self._resolved(former, node)
            text = media == _FORM
            for word, where in (("schema", place), ("itemSchema", f"{place}[]")):
                nodes = first.get(word, {}), second.get(word, {})
                yield from self._compare(direction, nodes[0], nodes[1], where, text=text)
            yield from self._encodings(first, second, direction, place)

    def _encodings(self, old: Node, new: Node, direction: str, place: str) -> Iterator[Change]:
        """Compare how the parts of a form are written."""
        names: dict[str, None] = dict.fromkeys(
            (*(old.get("encoding") or {}), *(new.get("encoding") or {}))
        )
        for name in names:
            first, second = (
                self._encoding(reader, node, name)
                for reader, node in zip(self._readers, (old, new), strict=True)
            )
            if first is None or second is None:
                continue
            for word in sorted(first.keys() | second.keys()):
                if first.get(word) != second.get(word):
                    before, after = first.get(word, "none"), second.get(word, "none")
                    text = f"{word} {before} -> {after}"
                    kind = _kind_of_types(before, after) if word == "contentType" else ""
                    yield kind or "encoding-changed", direction, f"{place}.{name}", text
        # Parts without a name have these.
        for word in ("prefixEncoding", "itemEncoding"):
            if old.get(word) != new.get(word):
                text = f"{word} {old.get(word, 'none')} -> {new.get(word, 'none')}"
                yield "encoding-changed", direction, place, text

    def _encoding(self, reader: SchemaReader, media: Node, name: str) -> dict[str, Any] | None:
        """Return the encoding of a part with its defaults; None if there is no such part."""
        properties = reader.view(media.get("schema", {})).properties
        if name not in properties:
            return None
        view = reader.view(properties[name])
        if "array" in view.types and "object" not in view.types:
            view = reader.view(view.items)
        written = (media.get("encoding") or {}).get(name) or {}
        encoding = {"contentType": _content_type(view), **written}
        headers = encoding.pop("headers", None)
        if headers:
            encoding["headers"] = ", ".join(sorted(str(header).lower() for header in headers))
        styles = {"style", "explode", "allowReserved"} & encoding.keys()
        if styles:
            encoding["style"], encoding["explode"] = _style({"in": "query", **written})
        if encoding.get("allowReserved") is False:
            del encoding["allowReserved"]
        if encoding.get("style") == "form" and encoding["explode"] is True:
            del encoding["style"], encoding["explode"]
        return {key: value for key, value in encoding.items() if key[:2] != "x-"}

    def _responses(self, old: Node, new: Node, direction: str) -> Iterator[Change]:
        before, after = old.get("responses") or {}, new.get("responses") or {}
        statuses = {status for status in (*before, *after) if not status.startswith("x-")}
        for status in sorted(statuses):
            former, later = _covered(before, status), _covered(after, status)
            place = f"response {status}"
            success = status[0] in "123"
            if former is None:
                kind = "success-added" if success else "error-status-added"
                yield kind, direction, place, "added"
            elif later is None:
                kind = "success-removed" if success else "error-status-removed"
                yield kind, direction, place, "removed"
            else:
                first, second = self._resolved(former, later)
                yield from self._headers(first, second, direction, place)
                yield from self._content(first, second, direction, place)

    def _headers(self, old: Node, new: Node, direction: str, place: str) -> Iterator[Change]:
        before, after = (
            {
                name.lower(): resolved(file, header) or {}
                for name, header in (node.get("headers") or {}).items()
                if name.lower() != "content-type"
            }
            for file, node in ((self._old, old), (self._new, new))
        )
        for name in before:
            if name not in after:
                yield "header-removed", direction, f"header {name}", f"removed, {place}"
        for name, header in after.items():
            where = f"header {name}"
            former = before.get(name)
            if former is None:
                needed = header.get("required") is True
                kind = "required-header-added" if needed else "header-added"
                yield kind, direction, where, f"added, {place}"
                continue
            yield from _needed("header", former, header, direction, where)
            nodes = [_schema_of(node) for node in (former, header)]
            yield from self._compare(direction, nodes[0], nodes[1], where, text=True)


def _needed(part: str, old: Node, new: Node, direction: str, place: str) -> Iterator[Change]:
    if (new.get("required") is True) != (old.get("required") is True):
        word = "required" if new.get("required") is True else "optional"
        yield f"{part}-made-{word}", direction, place, f"{word} now"


def _compare_styles(
    styles: list[tuple[str, bool]], views: list[SchemaView], direction: str, place: str
) -> Iterator[Change]:
    """Compare the styles of lists and objects; a value alone is written alike in most of them."""
    (style, explode), (new_style, new_explode) = styles
    if any(view.types & _SEPARATED for view in views):
        if style != new_style:
            text = f"style {style} -> {new_style}"
            yield "parameter-style-changed", direction, place, text
        elif explode != new_explode:
            text = f"explode {explode} -> {new_explode}".lower()
            yield "parameter-style-changed", direction, place, text
    elif style != new_style and {style, new_style} & set(_PREFIXED):
        yield "parameter-style-changed", direction, place, f"style {style} -> {new_style}"


def _style(node: Node) -> tuple[str, bool]:
    """Return the style of a parameter, and whether it is exploded, with the defaults of both."""
    style = str(
        node.get("style") or ("form" if node.get("in") in ("query", "cookie") else "simple")
    )
    return style, bool(node.get("explode", style == "form"))


def _written_as(node: Node) -> str:
    content = node.get("content")
    return f"content {next(iter(content)).lower()}" if content else "schema"


def _schema_of(node: Node) -> Any:
    """Return the schema of a parameter or header, or that of its content."""
    content = node.get("content")
    if isinstance(content, dict) and content:
        return next(iter(content.values())).get("schema", {})
    schema = node.get("schema", {})
    # `deprecated` of a parameter is beside its schema.
    if node.get("deprecated") is True and isinstance(schema, dict):
        return {"allOf": [schema], "deprecated": True}
    return schema


def _by_media(node: Node) -> dict[str, Any]:
    """Return bodies by media type, without the character set, which JSON and text leave open."""
    return {
        media.partition("; charset")[0].partition(";charset")[0].strip().lower(): body
        for media, body in (node.get("content") or {}).items()
    }


def _covering(content: Mapping[str, Any], media: str) -> Any:
    """Return the body for a media type, else for its range; None without one."""
    for name in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if name in content:
            return content[name]
    return None


def _kind_of_types(old: str, new: str) -> str:
    """Return the kind of a change of the media types of a part; empty if some replace others."""
    before, after = ({item.strip() for item in text.split(",")} for text in (old, new))
    if before < after:
        return "media-type-added"
    return "media-type-removed" if after < before else ""


def _is_range_of(media: str, other_media: str) -> bool:
    return _covering({media: True}, other_media) is True


def _content_type(view: SchemaView) -> str:
    if "object" in view.types or "array" in view.types:
        return "application/json" if len(view.types - {"null"}) == 1 else "application/octet-stream"
    binary = {"contentEncoding", "contentMediaType"} & view.forms.keys()
    return "application/octet-stream" if binary else "text/plain"


def _covered(responses: Node, status: str) -> Any:
    """Return the response for a status, else for its range, else the default."""
    names: Iterable[str] = (status, f"{status[0]}XX", f"{status[0]}xx", "default")
    return next((responses[name] for name in names if name in responses), None)
