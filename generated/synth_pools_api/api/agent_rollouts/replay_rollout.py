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


def _get_kwargs(
    rollout_id: str,
    *,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/rollouts/{rollout_id}/replay".format(
            rollout_id=quote(str(rollout_id), safe=""),
        ),
    }

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
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Run a rollout once more

     Admits a new rollout with the request, the task and the pool of this one, in whatever state this one
    is.
    `replay_of` of the new rollout names this one. The rules of `create_rollout` hold: the pool must be
    `active`, and the task must still exist. If the request says `mode: sync`, returns 200 with the
    finished
    rollout.

    Args:
        rollout_id (str):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Rollout]
    """

    kwargs = _get_kwargs(
        rollout_id=rollout_id,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Run a rollout once more

     Admits a new rollout with the request, the task and the pool of this one, in whatever state this one
    is.
    `replay_of` of the new rollout names this one. The rules of `create_rollout` hold: the pool must be
    `active`, and the task must still exist. If the request says `mode: sync`, returns 200 with the
    finished
    rollout.

    Args:
        rollout_id (str):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Rollout
    """

    return sync_detailed(
        rollout_id=rollout_id,
        client=client,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Run a rollout once more

     Admits a new rollout with the request, the task and the pool of this one, in whatever state this one
    is.
    `replay_of` of the new rollout names this one. The rules of `create_rollout` hold: the pool must be
    `active`, and the task must still exist. If the request says `mode: sync`, returns 200 with the
    finished
    rollout.

    Args:
        rollout_id (str):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Rollout]
    """

    kwargs = _get_kwargs(
        rollout_id=rollout_id,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Run a rollout once more

     Admits a new rollout with the request, the task and the pool of this one, in whatever state this one
    is.
    `replay_of` of the new rollout names this one. The rules of `create_rollout` hold: the pool must be
    `active`, and the task must still exist. If the request says `mode: sync`, returns 200 with the
    finished
    rollout.

    Args:
        rollout_id (str):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Rollout
    """

    return (
        await asyncio_detailed(
            rollout_id=rollout_id,
            client=client,
            idempotency_key=idempotency_key,
        )
    ).parsed
