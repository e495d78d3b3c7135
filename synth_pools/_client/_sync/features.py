# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/features.py

"""Optional features of the service that decide about a repetition."""

from __future__ import annotations

from typing import Any

from synth_pools._client.http.request_builder import Call
from synth_pools._client.runtime.sync_.io import Function
from synth_pools.errors import APIStatusError, ClientClosedError, SynthPoolsError
from synth_pools_api import api
from synth_pools_api.operations import OperationId

# Answers of a service from before the operation.
_NO_SUCH_OPERATION = frozenset({404, 405, 501})


def keeps_keys(request: Function[[OperationId, Call], dict[str, Any]]) -> bool | None:
    """Ask whether a repetition with the same ``Idempotency-Key`` creates nothing.

    No answer is stored: a restart that broke a connection may have brought another release.

    Args:
        request: Makes a call, in one attempt.

    Returns:
        Whether the service offers ``idempotency_keys``; None without an answer.

    Raises:
        ClientClosedError: The client is closed.
    """
    try:
        answer = request("get_capabilities", api.service.get_capabilities._get_kwargs())
    except ClientClosedError:
        raise
    except APIStatusError as error:
        return False if error.status_code in _NO_SUCH_OPERATION else None
    except SynthPoolsError:
        return None
    features = answer.get("features")
    return isinstance(features, dict) and features.get("idempotency_keys") is True
