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
    from ...models.trajectory import Trajectory


def _get_kwargs(rollout_id: str, *, step: str | Unset = UNSET) -> dict[str, Any]:

    params: dict[str, Any] = {"step": step}
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/rollouts/{rollout_id}/trajectory".format(
            rollout_id=quote(str(rollout_id), safe="")
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | Trajectory | None:
    from ...models.error_body import ErrorBody
    from ...models.trajectory import Trajectory

    if response.status_code == 200:
        response_200 = Trajectory.from_dict(response.json())

        return response_200

    if response.status_code in (401, 403, 404, 422, 429, 500, 501, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | Trajectory]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    rollout_id: str, *, client: AuthenticatedClient | Client, step: str | Unset = UNSET
) -> Response[ErrorBody | Trajectory]:
    """Read what happened in a rollout, step by step."""

    kwargs = _get_kwargs(rollout_id=rollout_id, step=step)

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    rollout_id: str, *, client: AuthenticatedClient | Client, step: str | Unset = UNSET
) -> ErrorBody | Trajectory | None:
    """Read what happened in a rollout, step by step."""

    return sync_detailed(rollout_id=rollout_id, client=client, step=step).parsed


async def asyncio_detailed(
    rollout_id: str, *, client: AuthenticatedClient | Client, step: str | Unset = UNSET
) -> Response[ErrorBody | Trajectory]:
    """Read what happened in a rollout, step by step."""

    kwargs = _get_kwargs(rollout_id=rollout_id, step=step)

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    rollout_id: str, *, client: AuthenticatedClient | Client, step: str | Unset = UNSET
) -> ErrorBody | Trajectory | None:
    """Read what happened in a rollout, step by step."""

    return (await asyncio_detailed(rollout_id=rollout_id, client=client, step=step)).parsed
