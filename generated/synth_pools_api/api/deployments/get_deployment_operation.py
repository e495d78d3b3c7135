from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.json_object import JsonObject


def _get_kwargs(pool_id: str, operation_id: str, *, project_id: str) -> dict[str, Any]:

    params: dict[str, Any] = {"project_id": project_id}
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/pools/{pool_id}/deployment-operations/{operation_id}".format(
            pool_id=quote(str(pool_id), safe=""), operation_id=quote(str(operation_id), safe="")
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | JsonObject | None:
    from ...models.error_body import ErrorBody
    from ...models.json_object import JsonObject

    if response.status_code == 200:
        response_200 = JsonObject.from_dict(response.json())

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
) -> Response[ErrorBody | JsonObject]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str, operation_id: str, *, client: AuthenticatedClient | Client, project_id: str
) -> Response[ErrorBody | JsonObject]:
    """Get an operation on a deployment."""

    kwargs = _get_kwargs(pool_id=pool_id, operation_id=operation_id, project_id=project_id)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, operation_id: str, *, client: AuthenticatedClient | Client, project_id: str
) -> ErrorBody | JsonObject | None:
    """Get an operation on a deployment."""

    return sync_detailed(
        pool_id=pool_id, operation_id=operation_id, client=client, project_id=project_id
    ).parsed


async def asyncio_detailed(
    pool_id: str, operation_id: str, *, client: AuthenticatedClient | Client, project_id: str
) -> Response[ErrorBody | JsonObject]:
    """Get an operation on a deployment."""

    kwargs = _get_kwargs(pool_id=pool_id, operation_id=operation_id, project_id=project_id)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, operation_id: str, *, client: AuthenticatedClient | Client, project_id: str
) -> ErrorBody | JsonObject | None:
    """Get an operation on a deployment."""

    return (
        await asyncio_detailed(
            pool_id=pool_id, operation_id=operation_id, client=client, project_id=project_id
        )
    ).parsed
