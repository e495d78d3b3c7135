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


def _get_kwargs(pool_id: str, release_id: str) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/pools/{pool_id}/runtime_image_releases/{release_id}/unbind".format(
            pool_id=quote(str(pool_id), safe=""), release_id=quote(str(release_id), safe="")
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

    if response.status_code in (401, 403, 404, 409, 422, 429, 500, 501, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

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
    pool_id: str, release_id: str, *, client: AuthenticatedClient | Client
) -> Response[ErrorBody | ImageReleaseBinding]:
    """Unbind an image release from the task of a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, release_id=release_id)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    pool_id: str, release_id: str, *, client: AuthenticatedClient | Client
) -> ErrorBody | ImageReleaseBinding | None:
    """Unbind an image release from the task of a pool."""

    return sync_detailed(pool_id=pool_id, release_id=release_id, client=client).parsed


async def asyncio_detailed(
    pool_id: str, release_id: str, *, client: AuthenticatedClient | Client
) -> Response[ErrorBody | ImageReleaseBinding]:
    """Unbind an image release from the task of a pool."""

    kwargs = _get_kwargs(pool_id=pool_id, release_id=release_id)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    pool_id: str, release_id: str, *, client: AuthenticatedClient | Client
) -> ErrorBody | ImageReleaseBinding | None:
    """Unbind an image release from the task of a pool."""

    return (await asyncio_detailed(pool_id=pool_id, release_id=release_id, client=client)).parsed
