from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from ... import errors
from ...types import UNSET, Response, Unset, sent_headers

if TYPE_CHECKING:
    from ...client import AuthenticatedClient, Client
    from ...models.error_body import ErrorBody
    from ...models.list_global_rollouts_direction import ListGlobalRolloutsDirection
    from ...models.list_global_rollouts_sort import ListGlobalRolloutsSort
    from ...models.rollout_list import RolloutList


def _get_kwargs(
    *,
    state: str | Unset = UNSET,
    run: str | Unset = UNSET,
    task_id: str | Unset = UNSET,
    seed: int | Unset = UNSET,
    error_code: str | Unset = UNSET,
    label: str | Unset = UNSET,
    min_reward: float | Unset = UNSET,
    max_reward: float | Unset = UNSET,
    created_after: str | Unset = UNSET,
    created_before: str | Unset = UNSET,
    sort: ListGlobalRolloutsSort | Unset = UNSET,
    direction: ListGlobalRolloutsDirection | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> dict[str, Any]:

    headers = sent_headers({"Prefer": prefer}, {})

    params: dict[str, Any] = {
        "state": state,
        "run": run,
        "task_id": task_id,
        "seed": seed,
        "error_code": error_code,
        "label": label,
        "min_reward": min_reward,
        "max_reward": max_reward,
        "created_after": created_after,
        "created_before": created_before,
        "sort": sort,
        "direction": direction,
        "limit": limit,
        "cursor": cursor,
    }
    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {"method": "get", "url": "/v1/rollouts", "params": params}

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RolloutList | None:
    from ...models.error_body import ErrorBody
    from ...models.rollout_list import RolloutList

    if response.status_code == 200:
        response_200 = RolloutList.from_dict(response.json())

        return response_200

    if response.status_code in (401, 403, 422, 429, 500, 503):
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | RolloutList]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    run: str | Unset = UNSET,
    task_id: str | Unset = UNSET,
    seed: int | Unset = UNSET,
    error_code: str | Unset = UNSET,
    label: str | Unset = UNSET,
    min_reward: float | Unset = UNSET,
    max_reward: float | Unset = UNSET,
    created_after: str | Unset = UNSET,
    created_before: str | Unset = UNSET,
    sort: ListGlobalRolloutsSort | Unset = UNSET,
    direction: ListGlobalRolloutsDirection | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Response[ErrorBody | RolloutList]:
    """List rollouts."""

    kwargs = _get_kwargs(
        state=state,
        run=run,
        task_id=task_id,
        seed=seed,
        error_code=error_code,
        label=label,
        min_reward=min_reward,
        max_reward=max_reward,
        created_after=created_after,
        created_before=created_before,
        sort=sort,
        direction=direction,
        limit=limit,
        cursor=cursor,
        prefer=prefer,
    )

    response = client.get_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    run: str | Unset = UNSET,
    task_id: str | Unset = UNSET,
    seed: int | Unset = UNSET,
    error_code: str | Unset = UNSET,
    label: str | Unset = UNSET,
    min_reward: float | Unset = UNSET,
    max_reward: float | Unset = UNSET,
    created_after: str | Unset = UNSET,
    created_before: str | Unset = UNSET,
    sort: ListGlobalRolloutsSort | Unset = UNSET,
    direction: ListGlobalRolloutsDirection | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> ErrorBody | RolloutList | None:
    """List rollouts."""

    return sync_detailed(
        client=client,
        state=state,
        run=run,
        task_id=task_id,
        seed=seed,
        error_code=error_code,
        label=label,
        min_reward=min_reward,
        max_reward=max_reward,
        created_after=created_after,
        created_before=created_before,
        sort=sort,
        direction=direction,
        limit=limit,
        cursor=cursor,
        prefer=prefer,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    run: str | Unset = UNSET,
    task_id: str | Unset = UNSET,
    seed: int | Unset = UNSET,
    error_code: str | Unset = UNSET,
    label: str | Unset = UNSET,
    min_reward: float | Unset = UNSET,
    max_reward: float | Unset = UNSET,
    created_after: str | Unset = UNSET,
    created_before: str | Unset = UNSET,
    sort: ListGlobalRolloutsSort | Unset = UNSET,
    direction: ListGlobalRolloutsDirection | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Response[ErrorBody | RolloutList]:
    """List rollouts."""

    kwargs = _get_kwargs(
        state=state,
        run=run,
        task_id=task_id,
        seed=seed,
        error_code=error_code,
        label=label,
        min_reward=min_reward,
        max_reward=max_reward,
        created_after=created_after,
        created_before=created_before,
        sort=sort,
        direction=direction,
        limit=limit,
        cursor=cursor,
        prefer=prefer,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    state: str | Unset = UNSET,
    run: str | Unset = UNSET,
    task_id: str | Unset = UNSET,
    seed: int | Unset = UNSET,
    error_code: str | Unset = UNSET,
    label: str | Unset = UNSET,
    min_reward: float | Unset = UNSET,
    max_reward: float | Unset = UNSET,
    created_after: str | Unset = UNSET,
    created_before: str | Unset = UNSET,
    sort: ListGlobalRolloutsSort | Unset = UNSET,
    direction: ListGlobalRolloutsDirection | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> ErrorBody | RolloutList | None:
    """List rollouts."""

    return (
        await asyncio_detailed(
            client=client,
            state=state,
            run=run,
            task_id=task_id,
            seed=seed,
            error_code=error_code,
            label=label,
            min_reward=min_reward,
            max_reward=max_reward,
            created_after=created_after,
            created_before=created_before,
            sort=sort,
            direction=direction,
            limit=limit,
            cursor=cursor,
            prefer=prefer,
        )
    ).parsed
