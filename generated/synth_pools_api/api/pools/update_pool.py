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
    from ...models.pool import Pool
    from ...models.pool_patch import PoolPatch


def _get_kwargs(
    pool_id: str,
    *,
    body: PoolPatch,
) -> dict[str, Any]:

    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/v1/pools/{pool_id}".format(
            pool_id=quote(str(pool_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Pool | None:
    from ...models.error_body import ErrorBody
    from ...models.pool import Pool

    if response.status_code == 200:
        response_200 = Pool.from_dict(response.json())

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
) -> Response[ErrorBody | Pool]:
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
    body: PoolPatch,
) -> Response[ErrorBody | Pool]:
    """Change parts of a pool

     Merges the body into the definition (RFC 7396): objects merge, null removes a field or sets it back
    to its
    default, arrays are replaced. What the body does not name stays. Rollouts that start later use the
    new
    values. The body may also be sent as `application/merge-patch+json`.

    Args:
        pool_id (str):
        body (PoolPatch): Parts of a pool to be merged into it (RFC 7396): objects merge, null
            removes a field or sets
            it back to its default, arrays are replaced.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Pool]
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
    body: PoolPatch,
) -> ErrorBody | Pool | None:
    """Change parts of a pool

     Merges the body into the definition (RFC 7396): objects merge, null removes a field or sets it back
    to its
    default, arrays are replaced. What the body does not name stays. Rollouts that start later use the
    new
    values. The body may also be sent as `application/merge-patch+json`.

    Args:
        pool_id (str):
        body (PoolPatch): Parts of a pool to be merged into it (RFC 7396): objects merge, null
            removes a field or sets
            it back to its default, arrays are replaced.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Pool
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
    body: PoolPatch,
) -> Response[ErrorBody | Pool]:
    """Change parts of a pool

     Merges the body into the definition (RFC 7396): objects merge, null removes a field or sets it back
    to its
    default, arrays are replaced. What the body does not name stays. Rollouts that start later use the
    new
    values. The body may also be sent as `application/merge-patch+json`.

    Args:
        pool_id (str):
        body (PoolPatch): Parts of a pool to be merged into it (RFC 7396): objects merge, null
            removes a field or sets
            it back to its default, arrays are replaced.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | Pool]
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
    body: PoolPatch,
) -> ErrorBody | Pool | None:
    """Change parts of a pool

     Merges the body into the definition (RFC 7396): objects merge, null removes a field or sets it back
    to its
    default, arrays are replaced. What the body does not name stays. Rollouts that start later use the
    new
    values. The body may also be sent as `application/merge-patch+json`.

    Args:
        pool_id (str):
        body (PoolPatch): Parts of a pool to be merged into it (RFC 7396): objects merge, null
            removes a field or sets
            it back to its default, arrays are replaced.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | Pool
    """

    return (
        await asyncio_detailed(
            pool_id=pool_id,
            client=client,
            body=body,
        )
    ).parsed
