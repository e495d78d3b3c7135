"""Every example of the document: through the client's dictionaries, and through `client.api`."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synth_pools import APIStatusError, AsyncContainerPoolsClient
from synth_pools_api import models
from tests.support.document import OPERATIONS, Described, contents, resolve
from tests.support.recording import RecordingServer, Reply

pytestmark = pytest.mark.one_library

JSON, EVENTS = "application/json", "text/event-stream"


@dataclasses.dataclass(frozen=True)
class Case:
    """Answer of an operation in the document, with its request if it has one."""

    operation: str
    status: int
    media: str
    name: str
    value: Any
    sent: Any

    def __str__(self) -> str:
        return f"{self.operation}-{self.status}-{self.name}"

    @property
    def described(self) -> Described:
        return OPERATIONS[self.operation]

    @property
    def reply(self) -> Reply:
        if self.media == EVENTS:
            return Reply.events(self.value.encode())
        return Reply.json(self.value, self.status)

    @property
    def method(self) -> str:
        """Method that returns this answer; pages of events have their own."""
        is_page = self.media == JSON and self.status < 400
        name = self.described.node["x-json-method"] if is_page and self.streams else self.operation
        return str(name)

    @property
    def streams(self) -> bool:
        return "x-json-method" in self.described.node

    def arguments(self, call: Callable[..., Any], body: Any) -> tuple[tuple[str, ...], Any]:
        """Return the ids of the path, and by name the body and the required part of the query."""
        ids = tuple("an-id" for _ in re.findall(r"{\w+}", self.described.path))
        parameters = inspect.signature(call).parameters
        names = [name for name in ("request", "body") if name in parameters]
        needed = self.described.needed_query
        return ids, {names[0]: body, **needed} if names and body is not None else needed


def cases() -> Iterator[Case]:
    """Iterate over all answers, and over each shared error once for each tag."""
    errors = set()
    for name, described in OPERATIONS.items():
        bodies = list(contents(described))
        bodies_sent = [
            resolve(example)["value"]
            for direction, _, content in bodies
            if direction == "request"
            for example in content["examples"].values()
        ]
        for direction, media, content in bodies:
            if direction == "request" or media not in (JSON, EVENTS):
                continue
            # The first status of a class.
            status = int(direction.replace("XX", "00"))
            for key, example in content["examples"].items():
                value = resolve(example)["value"]
                if status >= 400 and (described.tag, key) in errors:
                    continue
                errors.add((described.tag, key))
                yield Case(name, status, media, key, value, bodies_sent[0] if bodies_sent else None)


CASES = list(cases())


def plain(value: Any) -> Any:
    """Normalise times, which models parse."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", value):
        return datetime.datetime.fromisoformat(value)
    return value


def events_in(text: str) -> list[Any]:
    return [json.loads(data) for data in re.findall(r"^data: (.*)$", text, re.MULTILINE)]


def test_the_document_has_examples_of_all_that_it_answers() -> None:
    answered = {case.operation for case in CASES if case.status < 400}
    # Bytes have no model.
    assert {name for name in set(OPERATIONS) - answered if "artifact" not in name} == {
        "get_global_rollout_support_bundle"
    }
    assert {case.media for case in CASES} == {JSON, EVENTS}
    assert {case.status // 100 for case in CASES} == {2, 4, 5}


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_as_dictionaries(
    server: RecordingServer, client: AsyncContainerPoolsClient, case: Case
) -> None:
    once = client.with_options(max_retries=0)
    call = getattr(once, case.method)
    ids, body = case.arguments(call, case.sent)
    server.reply_with(case.reply)
    if case.status >= 400:
        with pytest.raises(APIStatusError) as caught:
            await answer_of(call(*ids, **body), case)
        check_error(caught.value, case)
    elif case.media == EVENTS:
        events = events_in(case.value)
        async with call(*ids) as stream:
            assert [await anext(stream) for _ in events] == events
    else:
        assert await call(*ids, **body) == case.value
    if case.sent is not None:
        assert server.last.json == case.sent


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_as_models(
    server: RecordingServer, client: AsyncContainerPoolsClient, case: Case
) -> None:
    once = client.with_options(max_retries=0)
    call = getattr(getattr(once.api, case.described.tag), case.method)
    ids, body = case.arguments(call, case.sent)
    if case.sent is not None:
        body = {"body": model_of(case).from_dict(case.sent)}
    server.reply_with(case.reply)
    if case.status >= 400:
        with pytest.raises(APIStatusError) as caught:
            await answer_of(call(*ids, **body), case)
        check_error(caught.value, case)
    elif case.media == EVENTS:
        events = events_in(case.value)
        async with call(*ids) as stream:
            read = [(await anext(stream)).to_dict() for _ in events]
        assert plain(read) == plain(events)
    else:
        answer = await call(*ids, **body)
        assert plain(answer.to_dict()) == plain(case.value)
    if case.sent is not None:
        assert plain(server.last.json) == plain(case.sent)


async def answer_of(called: Any, case: Case) -> Any:
    """Wait for the answer of a call, also of a stream, which sends its request when read."""
    if case.method == case.operation and case.streams:
        async with called as stream:
            return await anext(stream)
    return await called


def check_error(error: APIStatusError, case: Case) -> None:
    assert error.status_code == case.status
    assert error.code == (case.value.get("error") or {}).get("code")


def model_of(case: Case) -> Any:
    (schema,) = (
        content["schema"]
        for direction, _, content in contents(case.described)
        if direction == "request"
    )
    return getattr(models, schema["$ref"].rpartition("/")[2])
