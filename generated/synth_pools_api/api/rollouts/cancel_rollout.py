from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.cancel_request import CancelRequest
    from ...models.error_body import ErrorBody
    from ...models.rollout import Rollout


def _get_kwargs(
    pool_id: str, rollout_id: str, *, body: CancelRequest | Unset = UNSET
) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/rollouts/{rollout_id}/cancel".format(
            pool_id=quote(str(pool_id), safe=""), rollout_id=quote(str(rollout_id), safe="")
        ),
    }

    if not isinstance(body, Unset):
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

    if response.status_code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503):
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

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
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: CancelRequest | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Cancel a rollout."""

    kwargs = _get_kwargs(pool_id=pool_id, rollout_id=rollout_id, body=body)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: CancelRequest | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Cancel a rollout."""

    return sync_detailed(pool_id=pool_id, rollout_id=rollout_id, client=client, body=body).parsed


async def asyncio_detailed(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: CancelRequest | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Cancel a rollout."""

    kwargs = _get_kwargs(pool_id=pool_id, rollout_id=rollout_id, body=body)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    rollout_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: CancelRequest | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Cancel a rollout."""

    return (
        await asyncio_detailed(pool_id=pool_id, rollout_id=rollout_id, client=client, body=body)
    ).parsed
