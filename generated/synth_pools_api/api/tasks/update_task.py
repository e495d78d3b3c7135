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
    from ...models.task import Task
    from ...models.task_definition import TaskDefinition


def _get_kwargs(pool_id: str, task_id: str, *, body: TaskDefinition) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/v1/pools/{pool_id}/tasks/{task_id}".format(
            pool_id=quote(str(pool_id), safe=""), task_id=quote(str(task_id), safe="")
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Task | None:
    from ...models.error_body import ErrorBody
    from ...models.task import Task

    if response.status_code == 200:
        response_200 = Task.from_dict(response.json())

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
) -> Response[ErrorBody | Task]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str, task_id: str, *, client: AuthenticatedClient | Client, body: TaskDefinition
) -> Response[ErrorBody | Task]:
    """Replace a task."""

    kwargs = _get_kwargs(pool_id=pool_id, task_id=task_id, body=body)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, task_id: str, *, client: AuthenticatedClient | Client, body: TaskDefinition
) -> ErrorBody | Task | None:
    """Replace a task."""

    return sync_detailed(pool_id=pool_id, task_id=task_id, client=client, body=body).parsed


async def asyncio_detailed(
    pool_id: str, task_id: str, *, client: AuthenticatedClient | Client, body: TaskDefinition
) -> Response[ErrorBody | Task]:
    """Replace a task."""

    kwargs = _get_kwargs(pool_id=pool_id, task_id=task_id, body=body)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, task_id: str, *, client: AuthenticatedClient | Client, body: TaskDefinition
) -> ErrorBody | Task | None:
    """Replace a task."""

    return (
        await asyncio_detailed(pool_id=pool_id, task_id=task_id, client=client, body=body)
    ).parsed
