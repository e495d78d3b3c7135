from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.stream_pool_events_format import (
        StreamPoolEventsFormat,
    )
    from ...models.stream_pool_events_include import (
        StreamPoolEventsInclude,
    )
    from ...models.stream_pool_events_start import (
        StreamPoolEventsStart,
    )


def _get_kwargs(
    pool_id: str,
    *,
    cursor: str | Unset = UNSET,
    start: StreamPoolEventsStart | Unset = "earliest",
    types: str | Unset = UNSET,
    include: StreamPoolEventsInclude | Unset = UNSET,
    format_: StreamPoolEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}
    if not isinstance(last_event_id, Unset):
        headers["Last-Event-ID"] = last_event_id

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    json_start: str | Unset = UNSET
    if not isinstance(start, Unset):
        json_start = start

    params["start"] = json_start

    params["types"] = types

    json_include: str | Unset = UNSET
    if not isinstance(include, Unset):
        json_include = include

    params["include"] = json_include

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_

    params["format"] = json_format_

    params["limit"] = limit

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/events".format(
            pool_id=quote(str(pool_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | None:
    from ...models.error_body import ErrorBody

    if response.status_code == 200:
        return None

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorBody.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorBody.from_dict(response.json())

        return response_404

    if response.status_code == 422:
        response_422 = ErrorBody.from_dict(response.json())

        return response_422

    if response.status_code == 429:
        response_429 = ErrorBody.from_dict(response.json())

        return response_429

    if response.status_code == 503:
        response_503 = ErrorBody.from_dict(response.json())

        return response_503

    if 500 <= response.status_code <= 599:
        response_5xx = ErrorBody.from_dict(response.json())

        return response_5xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    start: StreamPoolEventsStart | Unset = "earliest",
    types: str | Unset = UNSET,
    include: StreamPoolEventsInclude | Unset = UNSET,
    format_: StreamPoolEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> Response[ErrorBody]:
    """Follow the events of all rollouts of a pool

     Returns a stream of server-sent events: first those that all rollouts of the pool have had, then
    live ones,
    in the order in which the server stored them. Servers with the feature `pool_events` offer it. The
    schema
    describes the JSON of one `data:` line: the same event as in the stream of its rollout.

    *Positions.* `id:` is a cursor of the pool, not the `id` in the data. It rises, also as text. Treat
    it as
    opaque. A block is the lines of the stream up to an empty line. The first block comes at once and is
    an
    `id:` alone: no event, but the position at which the stream begins. The events of every rollout that
    is
    created after this block came follow it. With `types`, such a block also follows events that are
    left out.

    *Order.* The events of one rollout come in the order of their `sequence`, without gaps, none twice.
    Events
    of different rollouts come in the same order to every reader, also after a restart of the server.
    The server
    stores an event before anyone sees it.

    *Resume.* `cursor` and `Last-Event-ID` each ask for the events after a position. If both are given,
    the
    further one counts. A text that is no cursor of this pool is the position before the first event,
    whatever
    `start` says.

    *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
    heartbeat`).

    *End.* The stream goes on while the pool is `paused` or `failed`. The server ends it once the pool
    is
    `archived`, all of its rollouts have ended and their events are sent. A stream that is asked for
    after that
    holds what follows its position, and ends.

    A forgotten rollout has no events here either. Cursors stay valid.

    *Ended rollouts.* With `include=rollout` the last event of each rollout also holds what
    `get_rollout` and
    `get_rollout_summary` return, as `rollout` and `summary`: a client that follows many rollouts need
    not ask
    for each. The server may leave out both where they are large. Servers with the feature
    `event_rollouts`
    offer it; others take no notice of `include`.

    *Pages.* With `format=json` the answer is one JSON page (`PoolEventPage`) of the events that are
    there, at
    most `limit`. For the next page a client sends `next_cursor` as `cursor`: at once while `has_more`
    is true,
    else after a pause, until `ended` is true.

    Args:
        pool_id (str):
        cursor (str | Unset):
        start (StreamPoolEventsStart | Unset):  Default: 'earliest'.
        types (str | Unset):
        include (StreamPoolEventsInclude | Unset):
        format_ (StreamPoolEventsFormat | Unset):  Default: 'sse'.
        limit (int | Unset):  Default: 200.
        last_event_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        cursor=cursor,
        start=start,
        types=types,
        include=include,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    start: StreamPoolEventsStart | Unset = "earliest",
    types: str | Unset = UNSET,
    include: StreamPoolEventsInclude | Unset = UNSET,
    format_: StreamPoolEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> ErrorBody | None:
    """Follow the events of all rollouts of a pool

     Returns a stream of server-sent events: first those that all rollouts of the pool have had, then
    live ones,
    in the order in which the server stored them. Servers with the feature `pool_events` offer it. The
    schema
    describes the JSON of one `data:` line: the same event as in the stream of its rollout.

    *Positions.* `id:` is a cursor of the pool, not the `id` in the data. It rises, also as text. Treat
    it as
    opaque. A block is the lines of the stream up to an empty line. The first block comes at once and is
    an
    `id:` alone: no event, but the position at which the stream begins. The events of every rollout that
    is
    created after this block came follow it. With `types`, such a block also follows events that are
    left out.

    *Order.* The events of one rollout come in the order of their `sequence`, without gaps, none twice.
    Events
    of different rollouts come in the same order to every reader, also after a restart of the server.
    The server
    stores an event before anyone sees it.

    *Resume.* `cursor` and `Last-Event-ID` each ask for the events after a position. If both are given,
    the
    further one counts. A text that is no cursor of this pool is the position before the first event,
    whatever
    `start` says.

    *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
    heartbeat`).

    *End.* The stream goes on while the pool is `paused` or `failed`. The server ends it once the pool
    is
    `archived`, all of its rollouts have ended and their events are sent. A stream that is asked for
    after that
    holds what follows its position, and ends.

    A forgotten rollout has no events here either. Cursors stay valid.

    *Ended rollouts.* With `include=rollout` the last event of each rollout also holds what
    `get_rollout` and
    `get_rollout_summary` return, as `rollout` and `summary`: a client that follows many rollouts need
    not ask
    for each. The server may leave out both where they are large. Servers with the feature
    `event_rollouts`
    offer it; others take no notice of `include`.

    *Pages.* With `format=json` the answer is one JSON page (`PoolEventPage`) of the events that are
    there, at
    most `limit`. For the next page a client sends `next_cursor` as `cursor`: at once while `has_more`
    is true,
    else after a pause, until `ended` is true.

    Args:
        pool_id (str):
        cursor (str | Unset):
        start (StreamPoolEventsStart | Unset):  Default: 'earliest'.
        types (str | Unset):
        include (StreamPoolEventsInclude | Unset):
        format_ (StreamPoolEventsFormat | Unset):  Default: 'sse'.
        limit (int | Unset):  Default: 200.
        last_event_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody
    """

    return sync_detailed(
        pool_id=pool_id,
        client=client,
        cursor=cursor,
        start=start,
        types=types,
        include=include,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    start: StreamPoolEventsStart | Unset = "earliest",
    types: str | Unset = UNSET,
    include: StreamPoolEventsInclude | Unset = UNSET,
    format_: StreamPoolEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> Response[ErrorBody]:
    """Follow the events of all rollouts of a pool

     Returns a stream of server-sent events: first those that all rollouts of the pool have had, then
    live ones,
    in the order in which the server stored them. Servers with the feature `pool_events` offer it. The
    schema
    describes the JSON of one `data:` line: the same event as in the stream of its rollout.

    *Positions.* `id:` is a cursor of the pool, not the `id` in the data. It rises, also as text. Treat
    it as
    opaque. A block is the lines of the stream up to an empty line. The first block comes at once and is
    an
    `id:` alone: no event, but the position at which the stream begins. The events of every rollout that
    is
    created after this block came follow it. With `types`, such a block also follows events that are
    left out.

    *Order.* The events of one rollout come in the order of their `sequence`, without gaps, none twice.
    Events
    of different rollouts come in the same order to every reader, also after a restart of the server.
    The server
    stores an event before anyone sees it.

    *Resume.* `cursor` and `Last-Event-ID` each ask for the events after a position. If both are given,
    the
    further one counts. A text that is no cursor of this pool is the position before the first event,
    whatever
    `start` says.

    *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
    heartbeat`).

    *End.* The stream goes on while the pool is `paused` or `failed`. The server ends it once the pool
    is
    `archived`, all of its rollouts have ended and their events are sent. A stream that is asked for
    after that
    holds what follows its position, and ends.

    A forgotten rollout has no events here either. Cursors stay valid.

    *Ended rollouts.* With `include=rollout` the last event of each rollout also holds what
    `get_rollout` and
    `get_rollout_summary` return, as `rollout` and `summary`: a client that follows many rollouts need
    not ask
    for each. The server may leave out both where they are large. Servers with the feature
    `event_rollouts`
    offer it; others take no notice of `include`.

    *Pages.* With `format=json` the answer is one JSON page (`PoolEventPage`) of the events that are
    there, at
    most `limit`. For the next page a client sends `next_cursor` as `cursor`: at once while `has_more`
    is true,
    else after a pause, until `ended` is true.

    Args:
        pool_id (str):
        cursor (str | Unset):
        start (StreamPoolEventsStart | Unset):  Default: 'earliest'.
        types (str | Unset):
        include (StreamPoolEventsInclude | Unset):
        format_ (StreamPoolEventsFormat | Unset):  Default: 'sse'.
        limit (int | Unset):  Default: 200.
        last_event_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        cursor=cursor,
        start=start,
        types=types,
        include=include,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    start: StreamPoolEventsStart | Unset = "earliest",
    types: str | Unset = UNSET,
    include: StreamPoolEventsInclude | Unset = UNSET,
    format_: StreamPoolEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> ErrorBody | None:
    """Follow the events of all rollouts of a pool

     Returns a stream of server-sent events: first those that all rollouts of the pool have had, then
    live ones,
    in the order in which the server stored them. Servers with the feature `pool_events` offer it. The
    schema
    describes the JSON of one `data:` line: the same event as in the stream of its rollout.

    *Positions.* `id:` is a cursor of the pool, not the `id` in the data. It rises, also as text. Treat
    it as
    opaque. A block is the lines of the stream up to an empty line. The first block comes at once and is
    an
    `id:` alone: no event, but the position at which the stream begins. The events of every rollout that
    is
    created after this block came follow it. With `types`, such a block also follows events that are
    left out.

    *Order.* The events of one rollout come in the order of their `sequence`, without gaps, none twice.
    Events
    of different rollouts come in the same order to every reader, also after a restart of the server.
    The server
    stores an event before anyone sees it.

    *Resume.* `cursor` and `Last-Event-ID` each ask for the events after a position. If both are given,
    the
    further one counts. A text that is no cursor of this pool is the position before the first event,
    whatever
    `start` says.

    *Silence.* After at most 15 seconds without an event the server sends a comment line (`:
    heartbeat`).

    *End.* The stream goes on while the pool is `paused` or `failed`. The server ends it once the pool
    is
    `archived`, all of its rollouts have ended and their events are sent. A stream that is asked for
    after that
    holds what follows its position, and ends.

    A forgotten rollout has no events here either. Cursors stay valid.

    *Ended rollouts.* With `include=rollout` the last event of each rollout also holds what
    `get_rollout` and
    `get_rollout_summary` return, as `rollout` and `summary`: a client that follows many rollouts need
    not ask
    for each. The server may leave out both where they are large. Servers with the feature
    `event_rollouts`
    offer it; others take no notice of `include`.

    *Pages.* With `format=json` the answer is one JSON page (`PoolEventPage`) of the events that are
    there, at
    most `limit`. For the next page a client sends `next_cursor` as `cursor`: at once while `has_more`
    is true,
    else after a pause, until `ended` is true.

    Args:
        pool_id (str):
        cursor (str | Unset):
        start (StreamPoolEventsStart | Unset):  Default: 'earliest'.
        types (str | Unset):
        include (StreamPoolEventsInclude | Unset):
        format_ (StreamPoolEventsFormat | Unset):  Default: 'sse'.
        limit (int | Unset):  Default: 200.
        last_event_id (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody
    """

    return (
        await asyncio_detailed(
            pool_id=pool_id,
            client=client,
            cursor=cursor,
            start=start,
            types=types,
            include=include,
            format_=format_,
            limit=limit,
            last_event_id=last_event_id,
        )
    ).parsed
