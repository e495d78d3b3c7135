from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import UNSET, Response, Unset

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.rollout import Rollout
    from ...models.rollout_request import RolloutRequest


def _get_kwargs(
    *,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/rollouts",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Rollout | None:
    from ...models.error_body import ErrorBody
    from ...models.rollout import Rollout

    if response.status_code == 200:
        response_200 = Rollout.from_dict(response.json())

        return response_200

    if response.status_code == 202:
        response_202 = Rollout.from_dict(response.json())

        return response_202

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
) -> Response[ErrorBody | Rollout]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout anywhere

     Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without `pool_id`
    places it in
    the least loaded active pool: the one with the fewest queued plus running rollouts relative to
    `concurrency`; of equals, the oldest. With a `task_id` only pools that hold this task count. Returns
    409
    `no_active_pool` if no `pool_id` is given and there is no such pool.

    Args:
        idempotency_key (str | Unset):
        body (RolloutRequest): A rollout as the caller asks for it. It has these 20 keys and no
            others. All are optional. Null is the same as
            not given. `request` of the rollout holds every value as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Rollout]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout anywhere

     Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without `pool_id`
    places it in
    the least loaded active pool: the one with the fewest queued plus running rollouts relative to
    `concurrency`; of equals, the oldest. With a `task_id` only pools that hold this task count. Returns
    409
    `no_active_pool` if no `pool_id` is given and there is no such pool.

    Args:
        idempotency_key (str | Unset):
        body (RolloutRequest): A rollout as the caller asks for it. It has these 20 keys and no
            others. All are optional. Null is the same as
            not given. `request` of the rollout holds every value as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Rollout
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout anywhere

     Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without `pool_id`
    places it in
    the least loaded active pool: the one with the fewest queued plus running rollouts relative to
    `concurrency`; of equals, the oldest. With a `task_id` only pools that hold this task count. Returns
    409
    `no_active_pool` if no `pool_id` is given and there is no such pool.

    Args:
        idempotency_key (str | Unset):
        body (RolloutRequest): A rollout as the caller asks for it. It has these 20 keys and no
            others. All are optional. Null is the same as
            not given. `request` of the rollout holds every value as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Rollout]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout anywhere

     Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without `pool_id`
    places it in
    the least loaded active pool: the one with the fewest queued plus running rollouts relative to
    `concurrency`; of equals, the oldest. With a `task_id` only pools that hold this task count. Returns
    409
    `no_active_pool` if no `pool_id` is given and there is no such pool.

    Args:
        idempotency_key (str | Unset):
        body (RolloutRequest): A rollout as the caller asks for it. It has these 20 keys and no
            others. All are optional. Null is the same as
            not given. `request` of the rollout holds every value as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Rollout
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
