from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="Features")


@_attrs_define
class Features:
    """Optional features by name; true if the server offers the feature, with every operation that has its name as
    `x-feature`.

        Attributes:
            artifact_downloads (bool | Unset): `get_global_rollout_artifact` and `get_global_rollout_artifacts_zip`.
            async_submission (bool | Unset): `config.submission_mode`.
            batch (bool | Unset): `create_rollout_batch`.
            container_probes (bool | Unset): The direct calls for `/task_info`, `/program` and `/taskset`.
            container_urls (bool | Unset): Several containers in a pool.
            echo (bool | Unset): The built-in echo target.
            event_pages (bool | Unset): `format=json` of event streams.
            event_resume (bool | Unset): Resuming the event stream of a rollout. Without it a stream begins with the first
                event, whichever position
                the request names.
            event_rollouts (bool | Unset): `include=rollout` of `stream_pool_events`.
            idempotency_keys (bool | Unset): `Idempotency-Key` on the creation of rollouts. Without it the header is not
                read: each request creates
                rollouts.
            deployments (bool | Unset): Deployments of projects.
            image_releases (bool | Unset): Image releases of pools.
            images (bool | Unset): `config.image`.
            pause (bool | Unset): `pause_pool` and `resume_pool`.
            pool_events (bool | Unset): `stream_pool_events`.
            pool_logs (bool | Unset): `get_pool_logs`.
            processes (bool | Unset): `config.process`.
            query (bool | Unset): `run_query`.
            ray (bool | Unset): `launcher: ray` of `config.process` and `config.image`.
            replay (bool | Unset): `replay_rollout`.
            runs (bool | Unset): `run` and `labels` of rollouts, the filters of `list_rollouts` and `list_global_rollouts`
                beside `state`, `sort`,
                and the operations on runs. Without it these parameters are not read.
            shares (bool | Unset): Shares of rollouts that wait. Without it `priority` changes nothing.
            start_rates (bool | Unset): `config.max_starts_per_second`.
            support_bundle (bool | Unset): `get_global_rollout_support_bundle`.
            sync_mode (bool | Unset): `mode: sync`. Without it a creation with `mode: sync` returns as one with `mode:
                async` does.
            trajectories (bool | Unset): `get_global_rollout_trajectory`.
            validate (bool | Unset): `validate_rollout`.
    """

    artifact_downloads: bool | Unset = UNSET
    async_submission: bool | Unset = UNSET
    batch: bool | Unset = UNSET
    container_probes: bool | Unset = UNSET
    container_urls: bool | Unset = UNSET
    echo: bool | Unset = UNSET
    event_pages: bool | Unset = UNSET
    event_resume: bool | Unset = UNSET
    event_rollouts: bool | Unset = UNSET
    idempotency_keys: bool | Unset = UNSET
    deployments: bool | Unset = UNSET
    image_releases: bool | Unset = UNSET
    images: bool | Unset = UNSET
    pause: bool | Unset = UNSET
    pool_events: bool | Unset = UNSET
    pool_logs: bool | Unset = UNSET
    processes: bool | Unset = UNSET
    query: bool | Unset = UNSET
    ray: bool | Unset = UNSET
    replay: bool | Unset = UNSET
    runs: bool | Unset = UNSET
    shares: bool | Unset = UNSET
    start_rates: bool | Unset = UNSET
    support_bundle: bool | Unset = UNSET
    sync_mode: bool | Unset = UNSET
    trajectories: bool | Unset = UNSET
    validate: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        artifact_downloads = self.artifact_downloads

        async_submission = self.async_submission

        batch = self.batch

        container_probes = self.container_probes

        container_urls = self.container_urls

        echo = self.echo

        event_pages = self.event_pages

        event_resume = self.event_resume

        event_rollouts = self.event_rollouts

        idempotency_keys = self.idempotency_keys

        deployments = self.deployments

        image_releases = self.image_releases

        images = self.images

        pause = self.pause

        pool_events = self.pool_events

        pool_logs = self.pool_logs

        processes = self.processes

        query = self.query

        ray = self.ray

        replay = self.replay

        runs = self.runs

        shares = self.shares

        start_rates = self.start_rates

        support_bundle = self.support_bundle

        sync_mode = self.sync_mode

        trajectories = self.trajectories

        validate = self.validate

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if artifact_downloads is not UNSET:
            field_dict["artifact_downloads"] = artifact_downloads
        if async_submission is not UNSET:
            field_dict["async_submission"] = async_submission
        if batch is not UNSET:
            field_dict["batch"] = batch
        if container_probes is not UNSET:
            field_dict["container_probes"] = container_probes
        if container_urls is not UNSET:
            field_dict["container_urls"] = container_urls
        if echo is not UNSET:
            field_dict["echo"] = echo
        if event_pages is not UNSET:
            field_dict["event_pages"] = event_pages
        if event_resume is not UNSET:
            field_dict["event_resume"] = event_resume
        if event_rollouts is not UNSET:
            field_dict["event_rollouts"] = event_rollouts
        if idempotency_keys is not UNSET:
            field_dict["idempotency_keys"] = idempotency_keys
        if deployments is not UNSET:
            field_dict["deployments"] = deployments
        if image_releases is not UNSET:
            field_dict["image_releases"] = image_releases
        if images is not UNSET:
            field_dict["images"] = images
        if pause is not UNSET:
            field_dict["pause"] = pause
        if pool_events is not UNSET:
            field_dict["pool_events"] = pool_events
        if pool_logs is not UNSET:
            field_dict["pool_logs"] = pool_logs
        if processes is not UNSET:
            field_dict["processes"] = processes
        if query is not UNSET:
            field_dict["query"] = query
        if ray is not UNSET:
            field_dict["ray"] = ray
        if replay is not UNSET:
            field_dict["replay"] = replay
        if runs is not UNSET:
            field_dict["runs"] = runs
        if shares is not UNSET:
            field_dict["shares"] = shares
        if start_rates is not UNSET:
            field_dict["start_rates"] = start_rates
        if support_bundle is not UNSET:
            field_dict["support_bundle"] = support_bundle
        if sync_mode is not UNSET:
            field_dict["sync_mode"] = sync_mode
        if trajectories is not UNSET:
            field_dict["trajectories"] = trajectories
        if validate is not UNSET:
            field_dict["validate"] = validate

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        artifact_downloads = d.pop("artifact_downloads", UNSET)

        async_submission = d.pop("async_submission", UNSET)

        batch = d.pop("batch", UNSET)

        container_probes = d.pop("container_probes", UNSET)

        container_urls = d.pop("container_urls", UNSET)

        echo = d.pop("echo", UNSET)

        event_pages = d.pop("event_pages", UNSET)

        event_resume = d.pop("event_resume", UNSET)

        event_rollouts = d.pop("event_rollouts", UNSET)

        idempotency_keys = d.pop("idempotency_keys", UNSET)

        deployments = d.pop("deployments", UNSET)

        image_releases = d.pop("image_releases", UNSET)

        images = d.pop("images", UNSET)

        pause = d.pop("pause", UNSET)

        pool_events = d.pop("pool_events", UNSET)

        pool_logs = d.pop("pool_logs", UNSET)

        processes = d.pop("processes", UNSET)

        query = d.pop("query", UNSET)

        ray = d.pop("ray", UNSET)

        replay = d.pop("replay", UNSET)

        runs = d.pop("runs", UNSET)

        shares = d.pop("shares", UNSET)

        start_rates = d.pop("start_rates", UNSET)

        support_bundle = d.pop("support_bundle", UNSET)

        sync_mode = d.pop("sync_mode", UNSET)

        trajectories = d.pop("trajectories", UNSET)

        validate = d.pop("validate", UNSET)

        features = cls(
            artifact_downloads=artifact_downloads,
            async_submission=async_submission,
            batch=batch,
            container_probes=container_probes,
            container_urls=container_urls,
            echo=echo,
            event_pages=event_pages,
            event_resume=event_resume,
            event_rollouts=event_rollouts,
            idempotency_keys=idempotency_keys,
            deployments=deployments,
            image_releases=image_releases,
            images=images,
            pause=pause,
            pool_events=pool_events,
            pool_logs=pool_logs,
            processes=processes,
            query=query,
            ray=ray,
            replay=replay,
            runs=runs,
            shares=shares,
            start_rates=start_rates,
            support_bundle=support_bundle,
            sync_mode=sync_mode,
            trajectories=trajectories,
            validate=validate,
        )

        features.additional_properties = d
        return features

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
