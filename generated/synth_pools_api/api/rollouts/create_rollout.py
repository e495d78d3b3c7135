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
    from ...models.rollout import Rollout
    from ...models.rollout_request import RolloutRequest


def _get_kwargs(
    pool_id: str,
    *,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/rollouts".format(
            pool_id=quote(str(pool_id), safe=""),
        ),
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
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout on a pool

     Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as the rollout
    is
    admitted. With `mode: sync` returns 200 with the finished rollout, whether it completed, failed or
    was
    cancelled. A server may stop waiting and return 202; the rollout goes on. It also goes on if the
    client
    disconnects. Returns 422 `validation_failed` if a key is none of the 20 of `RolloutRequest`.

    Args:
        pool_id (str):
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
        pool_id=pool_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout on a pool

     Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as the rollout
    is
    admitted. With `mode: sync` returns 200 with the finished rollout, whether it completed, failed or
    was
    cancelled. A server may stop waiting and return 202; the rollout goes on. It also goes on if the
    client
    disconnects. Returns 422 `validation_failed` if a key is none of the 20 of `RolloutRequest`.

    Args:
        pool_id (str):
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
        pool_id=pool_id,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout on a pool

     Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as the rollout
    is
    admitted. With `mode: sync` returns 200 with the finished rollout, whether it completed, failed or
    was
    cancelled. A server may stop waiting and return 202; the rollout goes on. It also goes on if the
    client
    disconnects. Returns 422 `validation_failed` if a key is none of the 20 of `RolloutRequest`.

    Args:
        pool_id (str):
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
        pool_id=pool_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout on a pool

     Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as the rollout
    is
    admitted. With `mode: sync` returns 200 with the finished rollout, whether it completed, failed or
    was
    cancelled. A server may stop waiting and return 202; the rollout goes on. It also goes on if the
    client
    disconnects. Returns 422 `validation_failed` if a key is none of the 20 of `RolloutRequest`.

    Args:
        pool_id (str):
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
            pool_id=pool_id,
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
