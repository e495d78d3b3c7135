"""Faults that are planted into services of others, each by the roles of a subject file."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.foreign.planting import FAULTS, Answer, Call, Send, Service, fault

__all__ = ["FAULTS"]


def _is(service: Service, call: Call, *roles: str) -> bool:
    return call.operation in [getattr(service.resource, role) for role in roles]


def _ok(answer: Answer) -> bool:
    return answer.status < 300


@fault("list")
def list_fails(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    return replace(answer, status=500) if _is(service, call, "list") else answer


@fault("read")
def read_has_another_status(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    return replace(answer, status=203) if _is(service, call, "read") and _ok(answer) else answer


@fault("read")
def read_is_html(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "read"):
        return answer
    return replace(answer, headers={**answer.headers, "content-type": "text/html"})


@fault("list")
def list_is_cut_off(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    return replace(answer, body=answer.body[:-1]) if _is(service, call, "list") else answer


@fault("create")
def creation_without_id(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not (_is(service, call, "create") and _ok(answer)):
        return answer
    return answer.having({n: v for n, v in answer.json.items() if n != service.resource.id})


@fault("read")
def id_is_a_list(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not (_is(service, call, "read") and _ok(answer)):
        return answer
    name = service.resource.item_id or service.resource.id
    return service.having_view(answer, **{name: ["x"]})


@fault("read")
def name_is_a_number(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    return (
        service.having_view(answer, name=5)
        if _is(service, call, "read") and _ok(answer)
        else answer
    )


@fault("read")
def name_is_null(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not (_is(service, call, "read") and _ok(answer)):
        return answer
    return service.having_view(answer, name=None)


@fault("list")
def list_is_an_object(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    return answer.having({"page": answer.json})


@fault("list")
def items_are_texts(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    return service.having_items(answer, [json.dumps(item) for item in service.items(answer)])


@fault("read")
def unknown_is_an_empty_200(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not (_is(service, call, "read") and answer.status >= 400):
        return answer
    return Answer(200, {"content-type": "application/json"}, b"{}")


@fault("read")
def unknown_fails(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    is_unknown = _is(service, call, "read") and answer.status >= 400
    return replace(answer, status=500) if is_unknown else answer


@fault("list")
def list_leaves_out_the_last(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    items = service.items(answer)
    return service.having_items(answer, items[:-1] if len(items) > 1 else items)


@fault("list")
def list_leaves_out_the_first(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    return service.having_items(answer, service.items(answer)[1:])


@fault("list")
def list_repeats_an_item(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    items = service.items(answer)
    return service.having_items(answer, items + items[:1])


@fault("list", "next", "limit")
def list_ends_early(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    return answer.having({**answer.json, service.resource.next: ""})


@fault("list", "next", "limit")
def list_begins_again(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "list"):
        return send(call)
    parts = urlsplit(call.target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    query.pop(service.resource.cursor, None)
    return send(replace(call, target=f"{parts.path}?{urlencode(query)}"))


@fault("list", "next", "limit")
def limit_is_ignored(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "list"):
        return send(call)
    parts = urlsplit(call.target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if service.resource.limit in query:
        query[service.resource.limit] = "7"
    return send(replace(call, target=f"{parts.path}?{urlencode(query)}"))


def _of_the_past(service: Service, call: Call, send: Send, role: str) -> Answer:
    """Answer each request of a role as it was answered first."""
    if not _is(service, call, role):
        return send(call)
    with service.lock:
        if call.target not in service.memory:
            service.memory[call.target] = send(call)
        answer: Answer = service.memory[call.target]
    return answer


@fault("list")
def list_is_of_the_past(service: Service, call: Call, send: Send) -> Answer:
    return _of_the_past(service, call, send, "list")


@fault("read")
def read_is_of_the_past(service: Service, call: Call, send: Send) -> Answer:
    return _of_the_past(service, call, send, "read")


@fault("read")
def read_shows_the_first(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "read"):
        return send(call)
    answer = send(call)
    with service.lock:
        if _ok(answer):
            service.memory.setdefault("first", answer)
            answer = service.memory["first"]
    return answer


@fault("read")
def ids_lose_their_end(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "read"):
        return send(call)
    for ending in ("%20", "%25"):
        if call.target.endswith(ending):
            return send(replace(call, target=call.target.removesuffix(ending)))
    return send(call)


@fault("read")
def unknown_ids_are_the_first(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "read"):
        return answer
    with service.lock:
        if _ok(answer):
            service.memory["any"] = answer
        result: Answer = answer if _ok(answer) else service.memory.get("any", answer)
    return result


@fault("delete")
def delete_does_nothing(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "delete"):
        return send(call)
    return Answer(200, {"content-type": "application/json"}, b'{"ok": true}')


@fault("delete")
def delete_takes_another(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if _is(service, call, "create") and _ok(answer):
        service.memory["last"] = str(answer.json.get(service.resource.id))
    if _is(service, call, "delete") and "last" in service.memory:
        root = call.target.rpartition("/")[0]
        send(replace(call, target=f"{root}/{service.memory.pop('last')}"))
    return answer


@fault("cancel")
def cancel_does_nothing(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "cancel"):
        return send(call)
    path = call.target.rpartition("/")[0]
    return send(Call(service.resource.read, "GET", path, call.headers, b""))


@fault("cancel")
def cancel_takes_all(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if _is(service, call, "create") and _ok(answer):
        service.memory[str(answer.json.get(service.resource.id))] = True
    if _is(service, call, "cancel"):
        root = call.target.split("/")
        for name in list(service.memory):
            send(replace(call, target="/".join([*root[:-2], name, root[-1]])))
    return answer


@fault("idempotency")
def keys_are_ignored(service: Service, call: Call, send: Send) -> Answer:
    name = service.resource.idempotency.lower()
    return send(replace(call, headers={n: v for n, v in call.headers.items() if n != name}))


@fault("idempotency")
def keys_are_all_one(service: Service, call: Call, send: Send) -> Answer:
    name = service.resource.idempotency.lower()
    if name not in call.headers:
        return send(call)
    return send(replace(call, headers={**call.headers, name: "one"}))


@fault("list", "state")
def list_shows_another_state(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not _is(service, call, "list"):
        return answer
    state = {service.resource.state: "queued"}
    return service.having_items(answer, [{**item, **state} for item in service.items(answer)])


@fault("read")
def name_is_another(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if not (_is(service, call, "read") and _ok(answer)):
        return answer
    return service.having_view(answer, name="another")


@fault("create")
def creations_are_made_twice(service: Service, call: Call, send: Send) -> Answer:
    if _is(service, call, "create") and "idempotency-key" not in call.headers:
        send(call)
    return send(call)


@fault("create")
def refused_creations_are_made(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if _is(service, call, "create"):
        if _ok(answer):
            service.memory["good"] = call
        elif "good" in service.memory:
            send(service.memory["good"])
    return answer


@fault("create")
def invalid_creations_are_accepted(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if _is(service, call, "create"):
        if _ok(answer):
            service.memory["good"] = answer
        elif answer.status in (400, 422):
            answer = service.memory.get("good", answer)
    return answer


@fault("change", "read")
def changes_are_lost(service: Service, call: Call, send: Send) -> Answer:
    if not _is(service, call, "change"):
        return send(call)
    return send(replace(call, method="GET", body=b"", operation=service.resource.read))


@fault("read")
def errors_have_another_form(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    return answer.having({"problem": 5}) if answer.status >= 400 else answer


@fault("read")
def errors_are_plain_text(service: Service, call: Call, send: Send) -> Answer:
    answer = send(call)
    if answer.status < 400:
        return answer
    return replace(answer, headers={**answer.headers, "content-type": "text/plain"}, body=b"no")
