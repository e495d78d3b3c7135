"""A service that is no Container Pools API: books on a shelf, with a document of OpenAPI 3.0."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BASE = "/lib/v2"
KEY = "shelf-key-0123456789"
_OPENED = datetime(2026, 1, 1, tzinfo=UTC)
_FIXED = ("id", "added", "state", "returned_at")
_ID = {"name": "book-id", "in": "path", "required": True, "schema": {"type": "string"}}
_BOOK = {"$ref": "#/components/schemas/Book"}
_ERROR = {"schema": {"$ref": "#/components/schemas/Trouble"}}


def _answers(schema: Any, *statuses: int, errors: tuple[int, ...] = (401, 404)) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}} if schema else {}
    passed = {str(status): {"description": "Done.", "content": content} for status in statuses}
    refused = {"description": "Not done.", "content": {"application/problem+json": _ERROR}}
    return {**passed, **{str(status): refused for status in errors}}


def _body(schema: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_NEW = {"$ref": "#/components/schemas/NewBook"}
_ANY = {"type": "object"}
SPEC: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shelf", "version": "7"},
    "servers": [{"url": "/{root}/v2", "variables": {"root": {"default": "lib"}}}],
    "security": [{"key": []}],
    "paths": {
        "/health": {"get": {"security": [], "responses": {"200": {"description": "Up."}}}},
        "/books": {
            "get": {
                "operationId": "list",
                "parameters": [
                    {"name": "after", "in": "query", "schema": {"type": "string"}},
                    {"name": "size", "in": "query", "schema": {"type": "integer"}},
                ],
                "responses": _answers(
                    {
                        "type": "object",
                        "required": ["books", "after"],
                        "properties": {
                            "books": {"type": "array", "items": _BOOK},
                            "after": {"type": "string", "nullable": True},
                        },
                    },
                    200,
                    errors=(401, 422),
                ),
            },
            "post": {
                "operationId": "add",
                "parameters": [
                    {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
                ],
                "requestBody": _body(_NEW),
                "responses": _answers(_BOOK, 201, errors=(401, 422)),
            },
        },
        "/books/{book-id}": {
            "parameters": [_ID],
            "get": {"responses": {**_answers(_BOOK, 200), "304": {"description": "The same."}}},
            "put": {
                "requestBody": _body(_NEW),
                "responses": _answers(_BOOK, 200, errors=(401, 404, 422)),
            },
            "patch": {
                "requestBody": _body(_ANY),
                "responses": _answers(_BOOK, 200, errors=(401, 404, 422)),
            },
            "delete": {"responses": _answers(None, 204)},
        },
        "/books/{book-id}/return": {
            "parameters": [_ID],
            "post": {"operationId": "give_back", "responses": _answers(_BOOK, 200)},
        },
        "/books/{book-id}/text": {
            "parameters": [_ID],
            "get": {
                "operationId": "text",
                "responses": {**_answers(None, 200, 206, errors=(401, 404, 416))},
            },
        },
        "/books/{book-id}/events": {
            "parameters": [_ID],
            "get": {
                "operationId": "events",
                "responses": {
                    "200": {
                        "description": "Its story.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    **_answers(None),
                },
            },
        },
    },
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Shelf-Key"}},
        "schemas": {
            "NewBook": {
                "type": "object",
                "required": ["title"],
                "properties": {
                    "title": {"type": "string", "minLength": 1},
                    "pages": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    "notes": {"type": "object"},
                },
            },
            "Book": {
                "type": "object",
                "required": ["id", "title", "state", "returned_at"],
                "properties": {
                    "id": {"type": "string"},
                    "title": {"type": "string"},
                    "notes": {"type": "object"},
                    "added": {"type": "string", "format": "date-time"},
                    "state": {"type": "string", "enum": ["lent", "returned"]},
                    "returned_at": {"type": "string", "nullable": True},
                },
            },
            "Trouble": {
                "type": "object",
                "required": ["title", "status"],
                "properties": {"title": {"type": "string"}, "status": {"type": "integer"}},
            },
        },
    },
}
SUBJECT = """
resources:
  books:
    create: add
    body: {title: "{name}", notes: {n: 1}}
    id: id
    read: GET /books/{book-id}
    list: list
    items: books
    cursor: after
    next: after
    limit: size
    newest: added
    replace: PUT /books/{book-id}
    change: PATCH /books/{book-id}
    merges: notes
    delete: DELETE /books/{book-id}
    cancel: give_back
    state: state
    cancelled: returned
    final: [returned]
    idempotency: Idempotency-Key
    download: text
    events: events
"""


class Shelf:
    """Books in memory.

    Attributes:
        broken: The fault that it has; "" for none.
    """

    def __init__(self) -> None:
        self.broken = ""
        self.readings = 0
        self.books: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[Any, str]] = {}
        self._numbers = count(1)
        self.lock = threading.Lock()

    def add(self, body: Any, key: str | None) -> dict[str, Any]:
        if key in self.keys and self.broken != "idempotency":
            return self.books[self.keys[key][1]]
        number = next(self._numbers)
        added = f"{_OPENED + timedelta(seconds=number):%FT%TZ}"
        fixed = {"id": f"book-{number}", "added": added, "state": "lent", "returned_at": None}
        book = {**fixed, **body}
        self.books[book["id"]] = book
        if key is not None:
            self.keys[key] = (body, book["id"])
        return book


def merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = merge(base.get(name), value)
    return base


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, status: int, body: Any = None, **headers: str) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        kind = "application/problem+json" if status >= 400 else "application/json"
        self._send_bytes(status, content, kind if body is not None else "", **headers)

    def _send_bytes(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        if kind:
            self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _trouble(self, status: int) -> None:
        broken = self.shelf.broken == "error_schema"
        self._send(status, {"error": "no"} if broken else {"title": "No.", "status": status})

    def do_GET(self) -> None:
        with self.shelf.lock:
            self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def _answer(self) -> None:
        shelf, parts = self.shelf, urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(BASE)
        if not parts.path.startswith(f"{BASE}/"):
            return self._trouble(404)
        if path == "/health":
            return self._send(500 if shelf.broken == "health" else 200)
        unlocked = shelf.broken == "auth" and self.command == "GET"
        if self.headers.get("x-shelf-key") != KEY and not unlocked:
            return self._trouble(401)
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            return self._trouble(422)
        if self.command in ("POST", "PUT") and path.count("/") < 3:
            title = body.get("title") if isinstance(body, dict) else None
            if not isinstance(title, str) or not title:
                if shelf.broken == "refused" and isinstance(body, dict):
                    shelf.add({**body, "title": "half"}, None)
                return self._trouble(422)
        if path == "/books":
            if self.command == "POST":
                return self._send(201, shelf.add(body, self.headers.get("idempotency-key")))
            return self._page(query)
        match = re.fullmatch(r"/books/([^/]*)(?:/(\w+))?", path)
        name = unquote(match[1]) if match else ""
        if shelf.broken == "ids":
            name = name.strip().lower()
        if match is None or name not in shelf.books:
            return self._trouble(404)
        return self._one(shelf.books[name], match[2] or "", body)

    def _page(self, query: dict[str, str]) -> None:
        books = list(self.shelf.books.values())[::-1]
        size = int(query.get("size") or 10)
        names = [book["id"] for book in books]
        if "after" not in query:
            start = 0
        elif self.shelf.broken == "pages":
            start = int(query["after"].partition(":")[2])
        else:
            # The number that the next one has to be below stays right when books come and go.
            number = int(query["after"].partition(":")[0])
            older = [i for i, item in enumerate(names) if int(item.partition("-")[2]) < number]
            start = older[0] if older else len(names)
        page = books[start : start + size]
        more = start + size < len(books)
        after = f"{page[-1]['id'].partition('-')[2]}:{start + size}" if more and page else None
        if self.shelf.broken == "order":
            page.reverse()
        if self.shelf.broken == "alike":
            page = [{**book, "title": "another"} for book in page]
        self._send(200, {"books": page, "after": after})

    def _one(self, book: dict[str, Any], part: str, body: Any) -> None:
        shelf = self.shelf
        if part == "return":
            if shelf.broken != "cancel":
                book |= {"state": "returned", "returned_at": "now"}
            return self._send(200, {**book, "state": "returned"})
        if part == "text":
            return self._text(book["title"].encode() * 4)
        if part == "events":
            shelf.readings += shelf.broken == "events"
            first = shelf.readings
            events = "".join(f"id: {n}\nevent: page\ndata: {n}\n\n" for n in range(first, 4))
            return self._send_bytes(200, events.encode(), "text/event-stream")
        if self.command == "DELETE":
            if shelf.broken != "deleted":
                del shelf.books[book["id"]]
            return self._send(204)
        if self.command == "PUT":
            fixed = {name: book[name] for name in _FIXED}
            if shelf.broken != "replace":
                book.clear()
            book.update({**body, **fixed})
        if self.command == "PATCH":
            if not isinstance(body, dict):
                return self._trouble(422)
            changed = {**book, **body} if shelf.broken == "merge" else merge(book, body)
            book.clear()
            book.update(changed)
        tag = f'"{hash(json.dumps(book))}"' if shelf.broken != "etag" else '"1"'
        if self.command == "GET" and self.headers.get("if-none-match") == tag:
            return self._send(304, ETag=tag)
        return self._send(200, book, ETag=tag)

    def _text(self, text: bytes) -> None:
        requested = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range") or "")
        if not requested:
            return self._send_bytes(200, text, "application/json", Accept_Ranges="bytes")
        first, last = int(requested[1]), int(requested[2]) + (self.shelf.broken == "ranges")
        part = text[first : last + 1]
        content_range = f"bytes {first}-{first + len(part) - 1}/{len(text)}"
        return self._send_bytes(206, part, "application/json", Content_Range=content_range)


@contextmanager
def shelf_service() -> Iterator[tuple[str, Shelf]]:
    """Serve a shelf; yield the URL of its host and the shelf."""
    shelf = Shelf()
    handler = type("Handler", (_Handler,), {"shelf": shelf})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
