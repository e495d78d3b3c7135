from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.container_rollout_request import ContainerRolloutRequest
    from ...models.container_rollout_result import ContainerRolloutResult
    from ...models.error_body import ErrorBody


def _get_kwargs(pool_id: str, task_id: str, *, body: ContainerRolloutRequest) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/tasks/{task_id}/container/rollout".format(
            pool_id=quote(str(pool_id), safe=""), task_id=quote(str(task_id), safe="")
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ContainerRolloutResult | ErrorBody | None:
    from ...models.container_rollout_result import ContainerRolloutResult
    from ...models.error_body import ErrorBody

    if response.status_code == 200:
        response_200 = ContainerRolloutResult.from_dict(response.json())

        return response_200

    if response.status_code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503, 504):
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ContainerRolloutResult | ErrorBody]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str,
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: ContainerRolloutRequest,
) -> Response[ContainerRolloutResult | ErrorBody]:
    """Run a rollout directly on a task's container."""

    kwargs = _get_kwargs(pool_id=pool_id, task_id=task_id, body=body)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: ContainerRolloutRequest,
) -> ContainerRolloutResult | ErrorBody | None:
    """Run a rollout directly on a task's container."""

    return sync_detailed(pool_id=pool_id, task_id=task_id, client=client, body=body).parsed


async def asyncio_detailed(
    pool_id: str,
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: ContainerRolloutRequest,
) -> Response[ContainerRolloutResult | ErrorBody]:
    """Run a rollout directly on a task's container."""

    kwargs = _get_kwargs(pool_id=pool_id, task_id=task_id, body=body)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    task_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: ContainerRolloutRequest,
) -> ContainerRolloutResult | ErrorBody | None:
    """Run a rollout directly on a task's container."""

    return (
        await asyncio_detailed(pool_id=pool_id, task_id=task_id, client=client, body=body)
    ).parsed
