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
    from ...models.pool_log_page import PoolLogPage


def _get_kwargs(
    pool_id: str,
    *,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 1000,
    process: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {"cursor": cursor, "limit": limit, "process": process}
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/logs".format(pool_id=quote(str(pool_id), safe="")),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | PoolLogPage | None:
    from ...models.error_body import ErrorBody
    from ...models.pool_log_page import PoolLogPage

    if response.status_code == 200:
        response_200 = PoolLogPage.from_dict(response.json())

        return response_200

    if response.status_code in (401, 403, 404, 422, 429, 500, 501, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | PoolLogPage]:
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
    limit: int | Unset = 1000,
    process: int | Unset = UNSET,
) -> Response[ErrorBody | PoolLogPage]:
    """Get what the processes of a pool wrote."""

    kwargs = _get_kwargs(pool_id=pool_id, cursor=cursor, limit=limit, process=process)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 1000,
    process: int | Unset = UNSET,
) -> ErrorBody | PoolLogPage | None:
    """Get what the processes of a pool wrote."""

    return sync_detailed(
        pool_id=pool_id, client=client, cursor=cursor, limit=limit, process=process
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 1000,
    process: int | Unset = UNSET,
) -> Response[ErrorBody | PoolLogPage]:
    """Get what the processes of a pool wrote."""

    kwargs = _get_kwargs(pool_id=pool_id, cursor=cursor, limit=limit, process=process)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 1000,
    process: int | Unset = UNSET,
) -> ErrorBody | PoolLogPage | None:
    """Get what the processes of a pool wrote."""

    return (
        await asyncio_detailed(
            pool_id=pool_id, client=client, cursor=cursor, limit=limit, process=process
        )
    ).parsed
