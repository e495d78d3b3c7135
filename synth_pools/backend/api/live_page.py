"""The live page at `/ui`, in the backend: its requests and responses, and its sessions."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Scope

from synth_pools.backend.api.requests import read_body
from synth_pools.backend.api.responses import TextResponse
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import payload_too_large
from synth_pools.backend.services import Services
from synth_pools.ui.sessions import LoginLinks, Sessions
from synth_pools.ui.site import COMPARISON, MOST_BODY_BYTES, PageRequest, Site, comparison_response


class LivePage:
    """Page of a backend.

    Args:
        services: The services of the backend.
        links: Issues log-in links.
    """

    def __init__(self, services: Services, links: LoginLinks) -> None:
        self._services = services
        self._sessions = Sessions(services.keys, clock.unix_time, clock.url_safe_token)
        self._site = Site(services.keys, self._sessions, links)

    def key_name(self, headers: Mapping[str, str]) -> str | None:
        """Return the name of the key of a request from the page, in a session; None for others."""
        return self._sessions.key_name(headers)

    async def respond(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> TextResponse:
        """Respond to a request for one of the page's own paths.

        Raises:
            ApiError: 413 for a body that is too large for a log-in, or for a comparison.
            ClientDisconnectedError: The client disconnected before the end of the body.
        """
        services = self._services
        body, reserved = await read_body(receive, headers, services.settings, services.parsing_room)
        request = PageRequest(
            scope["method"], scope["path"], headers, body, scope["scheme"] == "https"
        )
        is_comparison = (request.method, request.path) == ("POST", COMPARISON)
        try:
            if is_comparison and self.key_name(headers) is not None:
                compared = await services.comparison_workers.run(comparison_response, body)
                response = self._site.finish(compared)
            elif len(body) > MOST_BODY_BYTES:
                raise payload_too_large(MOST_BODY_BYTES)
            else:
                response = self._site.answer(request)
        finally:
            if reserved is not None:
                reserved.release()
        content_type = response.headers.get("content-type", "text/plain")
        return TextResponse(response.body, content_type, response.status, response.headers)


def new_links() -> LoginLinks:
    """Make log-in links by the clock of the backend."""
    return LoginLinks(clock.unix_time, clock.url_safe_token)
