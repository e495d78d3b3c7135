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
    from ...models.run import Run


def _get_kwargs(run: str) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/v1/runs/{run}".format(run=quote(str(run), safe="")),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Run | None:
    from ...models.error_body import ErrorBody
    from ...models.run import Run

    if response.status_code == 200:
        response_200 = Run.from_dict(response.json())

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
) -> Response[ErrorBody | Run]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(run: str, *, client: AuthenticatedClient | Client) -> Response[ErrorBody | Run]:
    """Delete a run."""

    kwargs = _get_kwargs(run=run)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(run: str, *, client: AuthenticatedClient | Client) -> ErrorBody | Run | None:
    """Delete a run."""

    return sync_detailed(run=run, client=client).parsed


async def asyncio_detailed(
    run: str, *, client: AuthenticatedClient | Client
) -> Response[ErrorBody | Run]:
    """Delete a run."""

    kwargs = _get_kwargs(run=run)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(run: str, *, client: AuthenticatedClient | Client) -> ErrorBody | Run | None:
    """Delete a run."""

    return (await asyncio_detailed(run=run, client=client)).parsed
