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
    from ...models.image_release_binding import ImageReleaseBinding


def _get_kwargs(
    pool_id: str,
    release_id: str,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/runtime_image_releases/{release_id}/bind".format(
            pool_id=quote(str(pool_id), safe=""),
            release_id=quote(str(release_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | ImageReleaseBinding | None:
    from ...models.error_body import ErrorBody
    from ...models.image_release_binding import ImageReleaseBinding

    if response.status_code == 200:
        response_200 = ImageReleaseBinding.from_dict(response.json())

        return response_200

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
) -> Response[ErrorBody | ImageReleaseBinding]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    pool_id: str,
    release_id: str,
    *,
    client: AuthenticatedClient | Client,
) -> Response[ErrorBody | ImageReleaseBinding]:
    """Bind an image release to the task of a pool

     Has the rollouts of the pool's only task run on the image. May take as long as building the image.
    Returns
    409 unless the pool has exactly one task.

    Args:
        pool_id (str):
        release_id (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ImageReleaseBinding]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        release_id=release_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    pool_id: str,
    release_id: str,
    *,
    client: AuthenticatedClient | Client,
) -> ErrorBody | ImageReleaseBinding | None:
    """Bind an image release to the task of a pool

     Has the rollouts of the pool's only task run on the image. May take as long as building the image.
    Returns
    409 unless the pool has exactly one task.

    Args:
        pool_id (str):
        release_id (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ImageReleaseBinding
    """

    return sync_detailed(
        pool_id=pool_id,
        release_id=release_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    pool_id: str,
    release_id: str,
    *,
    client: AuthenticatedClient | Client,
) -> Response[ErrorBody | ImageReleaseBinding]:
    """Bind an image release to the task of a pool

     Has the rollouts of the pool's only task run on the image. May take as long as building the image.
    Returns
    409 unless the pool has exactly one task.

    Args:
        pool_id (str):
        release_id (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ImageReleaseBinding]
    """

    kwargs = _get_kwargs(
        pool_id=pool_id,
        release_id=release_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str,
    release_id: str,
    *,
    client: AuthenticatedClient | Client,
) -> ErrorBody | ImageReleaseBinding | None:
    """Bind an image release to the task of a pool

     Has the rollouts of the pool's only task run on the image. May take as long as building the image.
    Returns
    409 unless the pool has exactly one task.

    Args:
        pool_id (str):
        release_id (str):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ImageReleaseBinding
    """

    return (
        await asyncio_detailed(
            pool_id=pool_id,
            release_id=release_id,
            client=client,
        )
    ).parsed
