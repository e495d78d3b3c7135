from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import Response

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.json_object import JsonObject
    from ...models.rollout_validation import RolloutValidation


def _get_kwargs(
    *,
    body: JsonObject,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/rollouts:validate",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RolloutValidation | None:
    from ...models.error_body import ErrorBody
    from ...models.rollout_validation import RolloutValidation

    if response.status_code == 200:
        response_200 = RolloutValidation.from_dict(response.json())

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
) -> Response[ErrorBody | RolloutValidation]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: JsonObject,
) -> Response[ErrorBody | RolloutValidation]:
    """Check a rollout request

     Says what `create_global_rollout` would answer to this request now. Creates nothing. `errors` holds
    what a
    creation would answer as 404, 409 or 422, field by field. `valid` is true if `errors` is empty. The
    body may
    be any JSON object.

    Args:
        body (JsonObject): Any JSON object: free-form, kept and answered as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RolloutValidation]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: JsonObject,
) -> ErrorBody | RolloutValidation | None:
    """Check a rollout request

     Says what `create_global_rollout` would answer to this request now. Creates nothing. `errors` holds
    what a
    creation would answer as 404, 409 or 422, field by field. `valid` is true if `errors` is empty. The
    body may
    be any JSON object.

    Args:
        body (JsonObject): Any JSON object: free-form, kept and answered as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RolloutValidation
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: JsonObject,
) -> Response[ErrorBody | RolloutValidation]:
    """Check a rollout request

     Says what `create_global_rollout` would answer to this request now. Creates nothing. `errors` holds
    what a
    creation would answer as 404, 409 or 422, field by field. `valid` is true if `errors` is empty. The
    body may
    be any JSON object.

    Args:
        body (JsonObject): Any JSON object: free-form, kept and answered as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RolloutValidation]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: JsonObject,
) -> ErrorBody | RolloutValidation | None:
    """Check a rollout request

     Says what `create_global_rollout` would answer to this request now. Creates nothing. `errors` holds
    what a
    creation would answer as 404, 409 or 422, field by field. `valid` is true if `errors` is empty. The
    body may
    be any JSON object.

    Args:
        body (JsonObject): Any JSON object: free-form, kept and answered as it was sent.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RolloutValidation
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
