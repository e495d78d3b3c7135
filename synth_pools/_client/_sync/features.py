# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/features.py

"""Optional features of the service that decide about a repetition."""

from __future__ import annotations

import dataclasses

from synth_pools._client._sync.transport import Transport
from synth_pools.errors import APIStatusError, ClientClosedError, SynthPoolsError
from synth_pools_api import api

# The question needs a deadline even if the call has used it up.
_LEAST_SECONDS = 0.001
# Answers of a service from before the operation.
_NO_SUCH_OPERATION = frozenset({404, 405, 501})


def keeps_keys(transport: Transport, remaining: float | None = None) -> bool | None:
    """Ask whether a repetition with the same ``Idempotency-Key`` creates nothing.

    No answer is stored: a restart that broke a connection may have brought another release.

    Args:
        transport: The transport of the repetition.
        remaining: Seconds that remain; None for no limit.

    Returns:
        Whether the service offers ``idempotency_keys``; None without an answer.

    Raises:
        ClientClosedError: The client is closed.
    """
    deadline = None if remaining is None else max(_LEAST_SECONDS, remaining)
    config = dataclasses.replace(transport.config, max_retries=0, deadline=deadline)
    call = api.service.get_capabilities._get_kwargs()
    try:
        answer = transport.with_config(config).request("get_capabilities", call)
    except ClientClosedError:
        raise
    except APIStatusError as error:
        return False if error.status_code in _NO_SUCH_OPERATION else None
    except SynthPoolsError:
        return None
    features = answer.get("features")
    return isinstance(features, dict) and features.get("idempotency_keys") is True
