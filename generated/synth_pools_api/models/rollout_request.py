from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.rollout_mode import RolloutMode, check_rollout_mode
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.chat_message import ChatMessage
    from ..models.json_object import JsonObject
    from ..models.rollout_env import RolloutEnv
    from ..models.rollout_limits import RolloutLimits
    from ..models.rollout_policy import RolloutPolicy


T = TypeVar("T", bound="RolloutRequest")


@_attrs_define
class RolloutRequest:
    """A rollout as the caller asks for it. These 20 keys and no others; all are optional, and null
    is the same as not given. Every value comes back in the `request` of the rollout as it was
    sent.

        Attributes:
            context_overrides (Any | Unset): Overrides of the context that the policy is given, free-form.
            env (None | RolloutEnv | Unset):
            inference_url (None | str | Unset): Where the model is served, for containers that read it here.
            instance_id (None | str | Unset): The instance of the task to run.
            limits (None | RolloutLimits | Unset):
            messages (list[ChatMessage] | None | Unset): Chat messages to start from.
            metadata (JsonObject | None | Unset): Free-form, never interpreted.
            mode (None | RolloutMode | Unset): `sync` waits for the end (default `async`).
            ops (Any | Unset): Operations that the container is to perform, free-form.
            override_bundle_id (None | str | Unset): A stored bundle of overrides.
            params (JsonObject | None | Unset): Parameters for the container, free-form.
            policy (None | RolloutPolicy | Unset):
            policy_config (JsonObject | None | Unset): Settings of the policy, for containers that read them here.
            pool_id (None | str | Unset): The pool; under a pool's path it must be that pool, else 409 `id_mismatch`.
            record (Any | Unset): What to record, free-form.
            safety (JsonObject | None | Unset): Safety settings, free-form.
            seed (int | None | Unset): Seed of the rollout.
            task_contract (Any | Unset): The contract that the task is held to, free-form.
            task_id (None | str | Unset): The task; one that the pool does not hold is 404 `task_not_found`.
            trace_correlation_id (None | str | Unset): Passed to the container and answered with the rollout, unchanged.
    """

    context_overrides: Any | Unset = UNSET
    env: None | RolloutEnv | Unset = UNSET
    inference_url: None | str | Unset = UNSET
    instance_id: None | str | Unset = UNSET
    limits: None | RolloutLimits | Unset = UNSET
    messages: list[ChatMessage] | None | Unset = UNSET
    metadata: JsonObject | None | Unset = UNSET
    mode: None | RolloutMode | Unset = UNSET
    ops: Any | Unset = UNSET
    override_bundle_id: None | str | Unset = UNSET
    params: JsonObject | None | Unset = UNSET
    policy: None | RolloutPolicy | Unset = UNSET
    policy_config: JsonObject | None | Unset = UNSET
    pool_id: None | str | Unset = UNSET
    record: Any | Unset = UNSET
    safety: JsonObject | None | Unset = UNSET
    seed: int | None | Unset = UNSET
    task_contract: Any | Unset = UNSET
    task_id: None | str | Unset = UNSET
    trace_correlation_id: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.json_object import JsonObject
        from ..models.rollout_env import RolloutEnv
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
        elif isinstance(self.metadata, JsonObject):
            metadata = self.metadata.to_dict()
        else:
            metadata = self.metadata

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
        elif isinstance(self.params, JsonObject):
            params = self.params.to_dict()
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
        elif isinstance(self.policy_config, JsonObject):
            policy_config = self.policy_config.to_dict()
        else:
            policy_config = self.policy_config

        pool_id: None | str | Unset
        if isinstance(self.pool_id, Unset):
            pool_id = UNSET
        else:
            pool_id = self.pool_id

        record = self.record

        safety: dict[str, Any] | None | Unset
        if isinstance(self.safety, Unset):
            safety = UNSET
        elif isinstance(self.safety, JsonObject):
            safety = self.safety.to_dict()
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
        if record is not UNSET:
            field_dict["record"] = record
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
        from ..models.json_object import JsonObject
        from ..models.rollout_env import RolloutEnv
        from ..models.rollout_limits import RolloutLimits
        from ..models.rollout_policy import RolloutPolicy

        d = dict(src_dict)
        context_overrides = d.pop("context_overrides", UNSET)

        def _parse_env(data: object) -> None | RolloutEnv | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                env_type_0 = RolloutEnv.from_dict(data)

                return env_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RolloutEnv | Unset, data)

        env = _parse_env(d.pop("env", UNSET))

        def _parse_inference_url(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        inference_url = _parse_inference_url(d.pop("inference_url", UNSET))

        def _parse_instance_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        instance_id = _parse_instance_id(d.pop("instance_id", UNSET))

        def _parse_limits(data: object) -> None | RolloutLimits | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                limits_type_0 = RolloutLimits.from_dict(data)

                return limits_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RolloutLimits | Unset, data)

        limits = _parse_limits(d.pop("limits", UNSET))

        def _parse_messages(data: object) -> list[ChatMessage] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                messages_type_0 = []
                _messages_type_0 = data
                for messages_type_0_item_data in _messages_type_0:
                    messages_type_0_item = ChatMessage.from_dict(messages_type_0_item_data)

                    messages_type_0.append(messages_type_0_item)

                return messages_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[ChatMessage] | None | Unset, data)

        messages = _parse_messages(d.pop("messages", UNSET))

        def _parse_metadata(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                metadata_type_0 = JsonObject.from_dict(data)

                return metadata_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        metadata = _parse_metadata(d.pop("metadata", UNSET))

        def _parse_mode(data: object) -> None | RolloutMode | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                mode_type_0 = check_rollout_mode(data)

                return mode_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RolloutMode | Unset, data)

        mode = _parse_mode(d.pop("mode", UNSET))

        ops = d.pop("ops", UNSET)

        def _parse_override_bundle_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        override_bundle_id = _parse_override_bundle_id(d.pop("override_bundle_id", UNSET))

        def _parse_params(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                params_type_0 = JsonObject.from_dict(data)

                return params_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        params = _parse_params(d.pop("params", UNSET))

        def _parse_policy(data: object) -> None | RolloutPolicy | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                policy_type_0 = RolloutPolicy.from_dict(data)

                return policy_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RolloutPolicy | Unset, data)

        policy = _parse_policy(d.pop("policy", UNSET))

        def _parse_policy_config(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                policy_config_type_0 = JsonObject.from_dict(data)

                return policy_config_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        policy_config = _parse_policy_config(d.pop("policy_config", UNSET))

        def _parse_pool_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        pool_id = _parse_pool_id(d.pop("pool_id", UNSET))

        record = d.pop("record", UNSET)

        def _parse_safety(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                safety_type_0 = JsonObject.from_dict(data)

                return safety_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        safety = _parse_safety(d.pop("safety", UNSET))

        def _parse_seed(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        seed = _parse_seed(d.pop("seed", UNSET))

        task_contract = d.pop("task_contract", UNSET)

        def _parse_task_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        task_id = _parse_task_id(d.pop("task_id", UNSET))

        def _parse_trace_correlation_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        trace_correlation_id = _parse_trace_correlation_id(d.pop("trace_correlation_id", UNSET))

        rollout_request = cls(
            context_overrides=context_overrides,
            env=env,
            inference_url=inference_url,
            instance_id=instance_id,
            limits=limits,
            messages=messages,
            metadata=metadata,
            mode=mode,
            ops=ops,
            override_bundle_id=override_bundle_id,
            params=params,
            policy=policy,
            policy_config=policy_config,
            pool_id=pool_id,
            record=record,
            safety=safety,
            seed=seed,
            task_contract=task_contract,
            task_id=task_id,
            trace_correlation_id=trace_correlation_id,
        )

        return rollout_request
