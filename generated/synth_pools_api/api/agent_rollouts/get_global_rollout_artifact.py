from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...types import UNSET, Response, Unset, sent_headers

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody


def _get_kwargs(
    rollout_id: str,
    artifact_path: str,
    *,
    range_: str | Unset = UNSET,
    if_range: str | Unset = UNSET,
    if_none_match: str | Unset = UNSET,
) -> dict[str, Any]:

    headers = sent_headers(
        {"Range": range_, "If-Range": if_range, "If-None-Match": if_none_match}, {}
    )

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/rollouts/{rollout_id}/artifacts/{artifact_path}".format(
            rollout_id=quote(str(rollout_id), safe=""),
            artifact_path=quote(str(artifact_path), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ErrorBody | None:
    from ...models.error_body import ErrorBody

    if response.status_code in (200, 206):
        return None

    if response.status_code == 304:
        response_304 = cast(Any, None)
        return response_304

    if response.status_code in (401, 403, 404, 416, 422, 429, 500, 501, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Any | ErrorBody]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    rollout_id: str,
    artifact_path: str,
    *,
    client: AuthenticatedClient | Client,
    range_: str | Unset = UNSET,
    if_range: str | Unset = UNSET,
    if_none_match: str | Unset = UNSET,
) -> Response[Any | ErrorBody]:
    """Download an artifact."""

    kwargs = _get_kwargs(
        rollout_id=rollout_id,
        artifact_path=artifact_path,
        range_=range_,
        if_range=if_range,
        if_none_match=if_none_match,
    )

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    rollout_id: str,
    artifact_path: str,
    *,
    client: AuthenticatedClient | Client,
    range_: str | Unset = UNSET,
    if_range: str | Unset = UNSET,
    if_none_match: str | Unset = UNSET,
) -> Any | ErrorBody | None:
    """Download an artifact."""

    return sync_detailed(
        rollout_id=rollout_id,
        artifact_path=artifact_path,
        client=client,
        range_=range_,
        if_range=if_range,
        if_none_match=if_none_match,
    ).parsed


async def asyncio_detailed(
    rollout_id: str,
    artifact_path: str,
    *,
    client: AuthenticatedClient | Client,
    range_: str | Unset = UNSET,
    if_range: str | Unset = UNSET,
    if_none_match: str | Unset = UNSET,
) -> Response[Any | ErrorBody]:
    """Download an artifact."""

    kwargs = _get_kwargs(
        rollout_id=rollout_id,
        artifact_path=artifact_path,
        range_=range_,
        if_range=if_range,
        if_none_match=if_none_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    rollout_id: str,
    artifact_path: str,
    *,
    client: AuthenticatedClient | Client,
    range_: str | Unset = UNSET,
    if_range: str | Unset = UNSET,
    if_none_match: str | Unset = UNSET,
) -> Any | ErrorBody | None:
    """Download an artifact."""

    return (
        await asyncio_detailed(
            rollout_id=rollout_id,
            artifact_path=artifact_path,
            client=client,
            range_=range_,
            if_range=if_range,
            if_none_match=if_none_match,
        )
    ).parsed
