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


def _get_kwargs(
    pool_id: str,
    *,
    body: TaskDefinition,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/tasks".format(
            pool_id=quote(str(pool_id), safe=""),
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

    if response.status_code == 201:
        response_201 = Task.from_dict(response.json())

        return response_201

    if response.status_code == 400:
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorBody.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorBody.from_dict(response.json())

        return response_404

    if response.status_code == 409:
        response_409 = ErrorBody.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = ErrorBody.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = ErrorBody.from_dict(response.json())

        return response_415

    if response.status_code == 422:
        response_422 = ErrorBody.from_dict(response.json())

        return response_422

    if response.status_code == 429:
        response_429 = ErrorBody.from_dict(response.json())

        return response_429

    if response.status_code == 503:
        response_503 = ErrorBody.from_dict(response.json())

        return response_503

    if 500 <= response.status_code <= 599:
        response_5xx = ErrorBody.from_dict(response.json())

        return response_5xx

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
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: TaskDefinition,
) -> Response[ErrorBody | Task]:
    """Create a task

     Adds a task to the pool. Every field is optional. The server assigns an id if the body names none.
    Unknown
    fields are kept. Returns 409 `task_exists` if the id is taken.

    Args:
        pool_id (str):
        body (TaskDefinition): A whole task as the caller defines it, to create or replace it.
            Null is the same as not given. Unknown fields
            are kept. `pool_id`, `status`, `created_at` and `updated_at` belong to the server and are
            ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Task]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: TaskDefinition,
) -> ErrorBody | Task | None:
    """Create a task

     Adds a task to the pool. Every field is optional. The server assigns an id if the body names none.
    Unknown
    fields are kept. Returns 409 `task_exists` if the id is taken.

    Args:
        pool_id (str):
        body (TaskDefinition): A whole task as the caller defines it, to create or replace it.
            Null is the same as not given. Unknown fields
            are kept. `pool_id`, `status`, `created_at` and `updated_at` belong to the server and are
            ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Task
    """

    return sync_detailed(
        pool_id=pool_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: TaskDefinition,
) -> Response[ErrorBody | Task]:
    """Create a task

     Adds a task to the pool. Every field is optional. The server assigns an id if the body names none.
    Unknown
    fields are kept. Returns 409 `task_exists` if the id is taken.

    Args:
        pool_id (str):
        body (TaskDefinition): A whole task as the caller defines it, to create or replace it.
            Null is the same as not given. Unknown fields
            are kept. `pool_id`, `status`, `created_at` and `updated_at` belong to the server and are
            ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Task]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: TaskDefinition,
) -> ErrorBody | Task | None:
    """Create a task

     Adds a task to the pool. Every field is optional. The server assigns an id if the body names none.
    Unknown
    fields are kept. Returns 409 `task_exists` if the id is taken.

    Args:
        pool_id (str):
        body (TaskDefinition): A whole task as the caller defines it, to create or replace it.
            Null is the same as not given. Unknown fields
            are kept. `pool_id`, `status`, `created_at` and `updated_at` belong to the server and are
            ignored.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Task
    """

    return (
        await asyncio_detailed(
            pool_id=pool_id,
            client=client,
            body=body,
        )
    ).parsed
