from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import UNSET, Response, Unset, sent_headers

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.rollout_batch import RolloutBatch
    from ...models.rollout_batch_request import RolloutBatchRequest


def _get_kwargs(
    *, body: RolloutBatchRequest, idempotency_key: str | Unset = UNSET
) -> dict[str, Any]:

    headers = sent_headers({"Idempotency-Key": idempotency_key}, {})

    _kwargs: dict[str, Any] = {"method": "post", "url": "/v1/rollouts/batch"}

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

    if response.status_code in (400, 401, 403, 409, 413, 415, 422, 429, 500, 501, 503):
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

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
    """Start many rollouts."""

    kwargs = _get_kwargs(body=body, idempotency_key=idempotency_key)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RolloutBatch | None:
    """Start many rollouts."""

    return sync_detailed(client=client, body=body, idempotency_key=idempotency_key).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RolloutBatch]:
    """Start many rollouts."""

    kwargs = _get_kwargs(body=body, idempotency_key=idempotency_key)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: RolloutBatchRequest,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RolloutBatch | None:
    """Start many rollouts."""

    return (
        await asyncio_detailed(client=client, body=body, idempotency_key=idempotency_key)
    ).parsed
