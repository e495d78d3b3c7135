from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.pool import Pool
    from ...models.pool_patch import PoolPatch


def _get_kwargs(pool_id: str, *, body: PoolPatch) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/v1/pools/{pool_id}".format(pool_id=quote(str(pool_id), safe="")),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Pool | None:
    from ...models.error_body import ErrorBody
    from ...models.pool import Pool

    if response.status_code == 200:
        response_200 = Pool.from_dict(response.json())

        return response_200

    if response.status_code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503):
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | Pool]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client, body: PoolPatch
) -> Response[ErrorBody | Pool]:
    """Change parts of a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, body=body)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, *, client: AuthenticatedClient | Client, body: PoolPatch
) -> ErrorBody | Pool | None:
    """Change parts of a pool."""

    return sync_detailed(pool_id=pool_id, client=client, body=body).parsed


async def asyncio_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client, body: PoolPatch
) -> Response[ErrorBody | Pool]:
    """Change parts of a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, body=body)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, *, client: AuthenticatedClient | Client, body: PoolPatch
) -> ErrorBody | Pool | None:
    """Change parts of a pool."""

    return (await asyncio_detailed(pool_id=pool_id, client=client, body=body)).parsed
