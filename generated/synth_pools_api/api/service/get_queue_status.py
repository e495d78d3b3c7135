from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.queue_status import QueueStatus


def _get_kwargs() -> dict[str, Any]:

    _kwargs: dict[str, Any] = {"method": "get", "url": "/v1/queue/status"}

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | QueueStatus | None:
    from ...models.error_body import ErrorBody
    from ...models.queue_status import QueueStatus

    if response.status_code == 200:
        response_200 = QueueStatus.from_dict(response.json())

        return response_200

    if response.status_code in (401, 403, 429, 500, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | QueueStatus]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(*, client: AuthenticatedClient | Client) -> Response[ErrorBody | QueueStatus]:
    """Get the state of the queue."""

    kwargs = _get_kwargs()

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(*, client: AuthenticatedClient | Client) -> ErrorBody | QueueStatus | None:
    """Get the state of the queue."""

    return sync_detailed(client=client).parsed


async def asyncio_detailed(
    *, client: AuthenticatedClient | Client
) -> Response[ErrorBody | QueueStatus]:
    """Get the state of the queue."""

    kwargs = _get_kwargs()

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(*, client: AuthenticatedClient | Client) -> ErrorBody | QueueStatus | None:
    """Get the state of the queue."""

    return (await asyncio_detailed(client=client)).parsed
