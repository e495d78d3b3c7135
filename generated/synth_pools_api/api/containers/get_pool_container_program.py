from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.container_program import ContainerProgram
    from ...models.error_body import ErrorBody


def _get_kwargs(pool_id: str) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/container/program".format(pool_id=quote(str(pool_id), safe="")),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ContainerProgram | ErrorBody | None:
    from ...models.container_program import ContainerProgram
    from ...models.error_body import ErrorBody

    if response.status_code == 200:
        response_200 = ContainerProgram.from_dict(response.json())

        return response_200

    if response.status_code in (401, 403, 404, 422, 429, 500, 501, 502, 503, 504):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ContainerProgram | ErrorBody]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client
) -> Response[ContainerProgram | ErrorBody]:
    """Get the program of a pool's container."""

    kwargs = _get_kwargs(pool_id=pool_id)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, *, client: AuthenticatedClient | Client
) -> ContainerProgram | ErrorBody | None:
    """Get the program of a pool's container."""

    return sync_detailed(pool_id=pool_id, client=client).parsed


async def asyncio_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client
) -> Response[ContainerProgram | ErrorBody]:
    """Get the program of a pool's container."""

    kwargs = _get_kwargs(pool_id=pool_id)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, *, client: AuthenticatedClient | Client
) -> ContainerProgram | ErrorBody | None:
    """Get the program of a pool's container."""

    return (await asyncio_detailed(pool_id=pool_id, client=client)).parsed
