from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.container_task_info import ContainerTaskInfo
    from ...models.error_body import ErrorBody


def _get_kwargs(pool_id: str, *, seed: int | Unset = UNSET) -> dict[str, Any]:

    params: dict[str, Any] = {"seed": seed}
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/container/task_info".format(
            pool_id=quote(str(pool_id), safe="")
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ContainerTaskInfo | ErrorBody | None:
    from ...models.container_task_info import ContainerTaskInfo
    from ...models.error_body import ErrorBody

    if response.status_code == 200:
        response_200 = ContainerTaskInfo.from_dict(response.json())

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
) -> Response[ContainerTaskInfo | ErrorBody]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client, seed: int | Unset = UNSET
) -> Response[ContainerTaskInfo | ErrorBody]:
    """Get the task info of a pool's container."""

    kwargs = _get_kwargs(pool_id=pool_id, seed=seed)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, *, client: AuthenticatedClient | Client, seed: int | Unset = UNSET
) -> ContainerTaskInfo | ErrorBody | None:
    """Get the task info of a pool's container."""

    return sync_detailed(pool_id=pool_id, client=client, seed=seed).parsed


async def asyncio_detailed(
    pool_id: str, *, client: AuthenticatedClient | Client, seed: int | Unset = UNSET
) -> Response[ContainerTaskInfo | ErrorBody]:
    """Get the task info of a pool's container."""

    kwargs = _get_kwargs(pool_id=pool_id, seed=seed)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, *, client: AuthenticatedClient | Client, seed: int | Unset = UNSET
) -> ContainerTaskInfo | ErrorBody | None:
    """Get the task info of a pool's container."""

    return (await asyncio_detailed(pool_id=pool_id, client=client, seed=seed)).parsed
