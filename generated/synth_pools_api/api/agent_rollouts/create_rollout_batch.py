from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import UNSET, Response, Unset

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.rollout_batch import RolloutBatch
    from ...models.rollout_batch_request import RolloutBatchRequest


def _get_kwargs(
    *,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/rollouts/batch",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RolloutBatch | None:
    from ...models.error_body import ErrorBody
    from ...models.rollout_batch import RolloutBatch

    if response.status_code == 200:
        response_200 = RolloutBatch.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorBody.from_dict(response.json())

        return response_403

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
) -> Response[ErrorBody | RolloutBatch]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RolloutBatch]:
    """Start many rollouts

     Admits the rollouts of `rollouts`, then those of `requests`, in this order, each on its own as
    `create_global_rollout` does. `pool_id` is the pool of those that name none. The answer has one item
    for
    each rollout: the rollout, or the error that it would have got alone. A refused rollout does not
    stop the
    others. A batch does not wait for rollouts with `mode: sync`. With an `Idempotency-Key` a repetition
    answers
    the same rollouts, and creates only those that were refused before.

    Args:
        idempotency_key (str | Unset):
        body (RolloutBatchRequest): Rollouts to be admitted together, each on its own.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RolloutBatch]
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
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RolloutBatch | None:
    """Start many rollouts

     Admits the rollouts of `rollouts`, then those of `requests`, in this order, each on its own as
    `create_global_rollout` does. `pool_id` is the pool of those that name none. The answer has one item
    for
    each rollout: the rollout, or the error that it would have got alone. A refused rollout does not
    stop the
    others. A batch does not wait for rollouts with `mode: sync`. With an `Idempotency-Key` a repetition
    answers
    the same rollouts, and creates only those that were refused before.

    Args:
        idempotency_key (str | Unset):
        body (RolloutBatchRequest): Rollouts to be admitted together, each on its own.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RolloutBatch
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RolloutBatch]:
    """Start many rollouts

     Admits the rollouts of `rollouts`, then those of `requests`, in this order, each on its own as
    `create_global_rollout` does. `pool_id` is the pool of those that name none. The answer has one item
    for
    each rollout: the rollout, or the error that it would have got alone. A refused rollout does not
    stop the
    others. A batch does not wait for rollouts with `mode: sync`. With an `Idempotency-Key` a repetition
    answers
    the same rollouts, and creates only those that were refused before.

    Args:
        idempotency_key (str | Unset):
        body (RolloutBatchRequest): Rollouts to be admitted together, each on its own.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RolloutBatch]
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
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RolloutBatch | None:
    """Start many rollouts

     Admits the rollouts of `rollouts`, then those of `requests`, in this order, each on its own as
    `create_global_rollout` does. `pool_id` is the pool of those that name none. The answer has one item
    for
    each rollout: the rollout, or the error that it would have got alone. A refused rollout does not
    stop the
    others. A batch does not wait for rollouts with `mode: sync`. With an `Idempotency-Key` a repetition
    answers
    the same rollouts, and creates only those that were refused before.

    Args:
        idempotency_key (str | Unset):
        body (RolloutBatchRequest): Rollouts to be admitted together, each on its own.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RolloutBatch
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
