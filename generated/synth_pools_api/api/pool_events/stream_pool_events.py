from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset, sent_headers

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.stream_pool_events_format import StreamPoolEventsFormat
    from ...models.stream_pool_events_include import StreamPoolEventsInclude
    from ...models.stream_pool_events_start import StreamPoolEventsStart


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

    headers = sent_headers({"Last-Event-ID": last_event_id}, {})

    params: dict[str, Any] = {
        "cursor": cursor,
        "start": start,
        "types": types,
        "include": include,
        "format": format_,
        "limit": limit,
    }
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/events".format(pool_id=quote(str(pool_id), safe="")),
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

    if response.status_code in (401, 403, 404, 422, 429, 500, 501, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

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
    """Follow the events of all rollouts of a pool."""

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

    response = client.get_httpx_client().request(**kwargs)

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
    """Follow the events of all rollouts of a pool."""

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
    """Follow the events of all rollouts of a pool."""

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
    """Follow the events of all rollouts of a pool."""

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
