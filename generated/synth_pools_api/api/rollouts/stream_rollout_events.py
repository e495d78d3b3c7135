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
    from ...models.stream_rollout_events_format import StreamRolloutEventsFormat


def _get_kwargs(
    pool_id: str,
    rollout_id: str,
    *,
    cursor: str | Unset = UNSET,
    after_sequence: int | Unset = UNSET,
    format_: StreamRolloutEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> dict[str, Any]:

    headers = sent_headers({"Last-Event-ID": last_event_id}, {})

    params: dict[str, Any] = {
        "cursor": cursor,
        "after_sequence": after_sequence,
        "format": format_,
        "limit": limit,
    }
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/rollouts/{rollout_id}/events".format(
            pool_id=quote(str(pool_id), safe=""), rollout_id=quote(str(rollout_id), safe="")
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

    if response.status_code in (401, 403, 404, 422, 429, 500, 503):
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
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    after_sequence: int | Unset = UNSET,
    format_: StreamRolloutEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> Response[ErrorBody]:
    """Follow the events of a rollout."""

    kwargs = _get_kwargs(
        pool_id=pool_id,
        rollout_id=rollout_id,
        cursor=cursor,
        after_sequence=after_sequence,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    )

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    after_sequence: int | Unset = UNSET,
    format_: StreamRolloutEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> ErrorBody | None:
    """Follow the events of a rollout."""

    return sync_detailed(
        pool_id=pool_id,
        rollout_id=rollout_id,
        client=client,
        cursor=cursor,
        after_sequence=after_sequence,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    after_sequence: int | Unset = UNSET,
    format_: StreamRolloutEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> Response[ErrorBody]:
    """Follow the events of a rollout."""

    kwargs = _get_kwargs(
        pool_id=pool_id,
        rollout_id=rollout_id,
        cursor=cursor,
        after_sequence=after_sequence,
        format_=format_,
        limit=limit,
        last_event_id=last_event_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    after_sequence: int | Unset = UNSET,
    format_: StreamRolloutEventsFormat | Unset = "sse",
    limit: int | Unset = 200,
    last_event_id: str | Unset = UNSET,
) -> ErrorBody | None:
    """Follow the events of a rollout."""

    return (
        await asyncio_detailed(
            pool_id=pool_id,
            rollout_id=rollout_id,
            client=client,
            cursor=cursor,
            after_sequence=after_sequence,
            format_=format_,
            limit=limit,
            last_event_id=last_event_id,
        )
    ).parsed
