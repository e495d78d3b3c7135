from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset, sent_headers

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.rollout import Rollout
    from ...models.rollout_request import RolloutRequest


def _get_kwargs(
    pool_id: str, *, body: RolloutRequest, idempotency_key: str | Unset = UNSET
) -> dict[str, Any]:

    headers = sent_headers({"Idempotency-Key": idempotency_key}, {})

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/rollouts".format(pool_id=quote(str(pool_id), safe="")),
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

    if response.status_code in (200, 202):
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
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout on a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, body=body, idempotency_key=idempotency_key)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout on a pool."""

    return sync_detailed(
        pool_id=pool_id, client=client, body=body, idempotency_key=idempotency_key
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | Rollout]:
    """Start a rollout on a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, body=body, idempotency_key=idempotency_key)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    *,
    client: AuthenticatedClient | Client,
    body: RolloutRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | Rollout | None:
    """Start a rollout on a pool."""

    return (
        await asyncio_detailed(
            pool_id=pool_id, client=client, body=body, idempotency_key=idempotency_key
        )
    ).parsed
