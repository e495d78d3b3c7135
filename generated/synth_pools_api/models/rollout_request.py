from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from ..models.rollout_mode import RolloutMode, check_rollout_mode
from ..reading import (
    read_choice,
    read_integer,
    read_object,
    read_optional,
    read_text,
    refuse_keys,
    wrong_type,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.chat_message import ChatMessage
    from ..models.rollout_env import RolloutEnv
    from ..models.rollout_labels import RolloutLabels
    from ..models.rollout_limits import RolloutLimits
    from ..models.rollout_policy import RolloutPolicy


T = TypeVar("T", bound="RolloutRequest")


@_attrs_define
class RolloutRequest:
    """A rollout as the caller asks for it. It has these 23 keys and no others. All are optional. Null is the same as
    not given. `request` of the rollout holds every value as it was sent.

        Attributes:
            context_overrides (Any | Unset): Overrides of the context that the policy is given, free-form.
            env (None | RolloutEnv | Unset):
            inference_url (None | str | Unset): Where the model is served, for containers that read it here.
            instance_id (None | str | Unset): The instance of the task to run.
            limits (None | RolloutLimits | Unset):
            messages (list[ChatMessage] | None | Unset): Chat messages to start from.
            metadata (dict[str, Any] | None | Unset): Free-form, never interpreted.
            labels (None | RolloutLabels | Unset): Names and values for filters of lists, of the caller's choice. A name has
                no `=`.
            mode (None | RolloutMode | Unset): Whether the creation waits for the end of the rollout (`sync`) or not
                (`async`).
            ops (Any | Unset): Operations that the container is to perform, free-form.
            override_bundle_id (None | str | Unset): A stored bundle of overrides.
            params (dict[str, Any] | None | Unset): Parameters for the container, free-form.
            policy (None | RolloutPolicy | Unset):
            policy_config (dict[str, Any] | None | Unset): Settings of the policy, for containers that read them here.
            pool_id (None | str | Unset): The pool. Returns 409 `id_mismatch` if the path names another pool. An empty text
                is an id that nothing has.
            priority (int | None | Unset): How little its start counts for its share (*Shares*).
            record (Any | Unset): What to record, free-form.
            run (None | str | Unset): The name of the run that the rollout is part of: rollouts that are looked at and
                compared together. Any text
                of more than dots and white space, of which no path is made; the first rollout of a name begins the run.
            safety (dict[str, Any] | None | Unset): Safety settings, free-form.
            seed (int | None | Unset): Seed of the rollout.
            task_contract (Any | Unset): The contract that the task is held to, free-form.
            task_id (None | str | Unset): The task. Returns 404 `task_not_found` if the pool does not hold it. An empty text
                is an id that nothing has.
            trace_correlation_id (None | str | Unset): Passed to the container and answered with the rollout, unchanged.
    """

    context_overrides: Any | Unset = UNSET
    env: None | RolloutEnv | Unset = UNSET
    inference_url: None | str | Unset = UNSET
    instance_id: None | str | Unset = UNSET
    limits: None | RolloutLimits | Unset = UNSET
    messages: list[ChatMessage] | None | Unset = UNSET
    metadata: dict[str, Any] | None | Unset = UNSET
    labels: None | RolloutLabels | Unset = UNSET
    mode: None | RolloutMode | Unset = UNSET
    ops: Any | Unset = UNSET
    override_bundle_id: None | str | Unset = UNSET
    params: dict[str, Any] | None | Unset = UNSET
    policy: None | RolloutPolicy | Unset = UNSET
    policy_config: dict[str, Any] | None | Unset = UNSET
    pool_id: None | str | Unset = UNSET
    priority: int | None | Unset = UNSET
    record: Any | Unset = UNSET
    run: None | str | Unset = UNSET
    safety: dict[str, Any] | None | Unset = UNSET
    seed: int | None | Unset = UNSET
    task_contract: Any | Unset = UNSET
    task_id: None | str | Unset = UNSET
    trace_correlation_id: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.rollout_env import RolloutEnv
        from ..models.rollout_labels import RolloutLabels
        from ..models.rollout_limits import RolloutLimits
        from ..models.rollout_policy import RolloutPolicy

        context_overrides = self.context_overrides

        env: dict[str, Any] | None | Unset
        if isinstance(self.env, Unset):
            env = UNSET
        elif isinstance(self.env, RolloutEnv):
            env = self.env.to_dict()
        else:
            env = self.env

        inference_url: None | str | Unset
        if isinstance(self.inference_url, Unset):
            inference_url = UNSET
        else:
            inference_url = self.inference_url

        instance_id: None | str | Unset
        if isinstance(self.instance_id, Unset):
            instance_id = UNSET
        else:
            instance_id = self.instance_id

        limits: dict[str, Any] | None | Unset
        if isinstance(self.limits, Unset):
            limits = UNSET
        elif isinstance(self.limits, RolloutLimits):
            limits = self.limits.to_dict()
        else:
            limits = self.limits

        messages: list[dict[str, Any]] | None | Unset
        if isinstance(self.messages, Unset):
            messages = UNSET
        elif isinstance(self.messages, list):
            messages = []
            for messages_type_0_item_data in self.messages:
                messages_type_0_item = messages_type_0_item_data.to_dict()
                messages.append(messages_type_0_item)

        else:
            messages = self.messages

        metadata: dict[str, Any] | None | Unset
        if isinstance(self.metadata, Unset):
            metadata = UNSET
        else:
            metadata = self.metadata

        labels: dict[str, Any] | None | Unset
        if isinstance(self.labels, Unset):
            labels = UNSET
        elif isinstance(self.labels, RolloutLabels):
            labels = self.labels.to_dict()
        else:
            labels = self.labels

        mode: None | str | Unset
        if isinstance(self.mode, Unset):
            mode = UNSET
        elif isinstance(self.mode, str):
            mode = self.mode
        else:
            mode = self.mode

        ops = self.ops

        override_bundle_id: None | str | Unset
        if isinstance(self.override_bundle_id, Unset):
            override_bundle_id = UNSET
        else:
            override_bundle_id = self.override_bundle_id

        params: dict[str, Any] | None | Unset
        if isinstance(self.params, Unset):
            params = UNSET
        else:
            params = self.params

        policy: dict[str, Any] | None | Unset
        if isinstance(self.policy, Unset):
            policy = UNSET
        elif isinstance(self.policy, RolloutPolicy):
            policy = self.policy.to_dict()
        else:
            policy = self.policy

        policy_config: dict[str, Any] | None | Unset
        if isinstance(self.policy_config, Unset):
            policy_config = UNSET
        else:
            policy_config = self.policy_config

        pool_id: None | str | Unset
        if isinstance(self.pool_id, Unset):
            pool_id = UNSET
        else:
            pool_id = self.pool_id

        priority: int | None | Unset
        if isinstance(self.priority, Unset):
            priority = UNSET
        else:
            priority = self.priority

        record = self.record

        run: None | str | Unset
        if isinstance(self.run, Unset):
            run = UNSET
        else:
            run = self.run

        safety: dict[str, Any] | None | Unset
        if isinstance(self.safety, Unset):
            safety = UNSET
        else:
            safety = self.safety

        seed: int | None | Unset
        if isinstance(self.seed, Unset):
            seed = UNSET
        else:
            seed = self.seed

        task_contract = self.task_contract

        task_id: None | str | Unset
        if isinstance(self.task_id, Unset):
            task_id = UNSET
        else:
            task_id = self.task_id

        trace_correlation_id: None | str | Unset
        if isinstance(self.trace_correlation_id, Unset):
            trace_correlation_id = UNSET
        else:
            trace_correlation_id = self.trace_correlation_id

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if context_overrides is not UNSET:
            field_dict["context_overrides"] = context_overrides
        if env is not UNSET:
            field_dict["env"] = env
        if inference_url is not UNSET:
            field_dict["inference_url"] = inference_url
        if instance_id is not UNSET:
            field_dict["instance_id"] = instance_id
        if limits is not UNSET:
            field_dict["limits"] = limits
        if messages is not UNSET:
            field_dict["messages"] = messages
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if labels is not UNSET:
            field_dict["labels"] = labels
        if mode is not UNSET:
            field_dict["mode"] = mode
        if ops is not UNSET:
            field_dict["ops"] = ops
        if override_bundle_id is not UNSET:
            field_dict["override_bundle_id"] = override_bundle_id
        if params is not UNSET:
            field_dict["params"] = params
        if policy is not UNSET:
            field_dict["policy"] = policy
        if policy_config is not UNSET:
            field_dict["policy_config"] = policy_config
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if priority is not UNSET:
            field_dict["priority"] = priority
        if record is not UNSET:
            field_dict["record"] = record
        if run is not UNSET:
            field_dict["run"] = run
        if safety is not UNSET:
            field_dict["safety"] = safety
        if seed is not UNSET:
            field_dict["seed"] = seed
        if task_contract is not UNSET:
            field_dict["task_contract"] = task_contract
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if trace_correlation_id is not UNSET:
            field_dict["trace_correlation_id"] = trace_correlation_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.chat_message import ChatMessage
        from ..models.rollout_env import RolloutEnv
        from ..models.rollout_labels import RolloutLabels
        from ..models.rollout_limits import RolloutLimits
        from ..models.rollout_policy import RolloutPolicy

        d = dict(src_dict)
        context_overrides = d.pop("context_overrides", UNSET)

        def _parse_env(data: object) -> None | RolloutEnv | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "env")
            env_type_0 = RolloutEnv.from_dict(data)

            return env_type_0

        env = _parse_env(d.pop("env", UNSET))

        inference_url = read_optional(d.pop("inference_url", UNSET), read_text, "inference_url")

        instance_id = read_optional(d.pop("instance_id", UNSET), read_text, "instance_id")

        def _parse_limits(data: object) -> None | RolloutLimits | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "limits")
            limits_type_0 = RolloutLimits.from_dict(data)

            return limits_type_0

        limits = _parse_limits(d.pop("limits", UNSET))

        def _parse_messages(data: object) -> list[ChatMessage] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "messages")
            messages_type_0 = []
            _messages_type_0 = data
            for messages_type_0_item_data in _messages_type_0:
                messages_type_0_item = ChatMessage.from_dict(messages_type_0_item_data)

                messages_type_0.append(messages_type_0_item)

            return messages_type_0

        messages = _parse_messages(d.pop("messages", UNSET))

        metadata = read_optional(d.pop("metadata", UNSET), read_object, "metadata")

        def _parse_labels(data: object) -> None | RolloutLabels | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "labels")
            labels_type_0 = RolloutLabels.from_dict(data)

            return labels_type_0

        labels = _parse_labels(d.pop("labels", UNSET))

        mode = read_choice(d.pop("mode", UNSET), check_rollout_mode)

        ops = d.pop("ops", UNSET)

        override_bundle_id = read_optional(
            d.pop("override_bundle_id", UNSET), read_text, "override_bundle_id"
        )

        params = read_optional(d.pop("params", UNSET), read_object, "params")

        def _parse_policy(data: object) -> None | RolloutPolicy | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "policy")
            policy_type_0 = RolloutPolicy.from_dict(data)

            return policy_type_0

        policy = _parse_policy(d.pop("policy", UNSET))

        policy_config = read_optional(d.pop("policy_config", UNSET), read_object, "policy_config")

        pool_id = read_optional(d.pop("pool_id", UNSET), read_text, "pool_id")

        priority = read_optional(d.pop("priority", UNSET), read_integer, "priority")

        record = d.pop("record", UNSET)

        run = read_optional(d.pop("run", UNSET), read_text, "run")

        safety = read_optional(d.pop("safety", UNSET), read_object, "safety")

        seed = read_optional(d.pop("seed", UNSET), read_integer, "seed")

        task_contract = d.pop("task_contract", UNSET)

        task_id = read_optional(d.pop("task_id", UNSET), read_text, "task_id")

        trace_correlation_id = read_optional(
            d.pop("trace_correlation_id", UNSET), read_text, "trace_correlation_id"
        )

        refuse_keys(d, cls)
        rollout_request = cls(
            context_overrides=context_overrides,
            env=env,
            inference_url=inference_url,
            instance_id=instance_id,
            limits=limits,
            messages=messages,
            metadata=metadata,
            labels=labels,
            mode=mode,
            ops=ops,
            override_bundle_id=override_bundle_id,
            params=params,
            policy=policy,
            policy_config=policy_config,
            pool_id=pool_id,
            priority=priority,
            record=record,
            run=run,
            safety=safety,
            seed=seed,
            task_contract=task_contract,
            task_id=task_id,
            trace_correlation_id=trace_correlation_id,
        )

        return rollout_request
