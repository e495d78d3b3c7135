"""The ASGI application that serves the operations of openapi.yaml."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.types import Lifespan, Receive, Scope, Send

from synth_pools.backend.api.dispatcher import Dispatcher
from synth_pools.backend.api.live_page import LivePage
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.services import open_services
from synth_pools.backend.settings import Settings
from synth_pools.spec import load_spec
from synth_pools.ui.sessions import LoginLinks


def create_app(settings: Settings, links: LoginLinks) -> Starlette:
    """Make the application, which opens its services at its start and closes them at its end.

    While it runs, its services are at `app.state.services`; closing takes bounded time.

    Args:
        settings: The options of the backend, checked.
        links: Issues log-in links to the page.

    Returns:
        The application; nothing is opened before its lifespan begins.
    """
    contract = Contract(load_spec())
    dispatcher = Dispatcher(contract)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings, contract) as services:
            dispatcher.page = LivePage(services, links)
            dispatcher.services = app.state.services = services
            app.state.wind_down = services.wind_down
            app.state.background = services.background
            try:
                yield
            finally:
                dispatcher.services = dispatcher.page = None

    return _Application(dispatcher, lifespan)


class _Application(Starlette):
    """Starlette for the lifespan alone; requests go straight to the dispatcher.

    Starlette's routes match decoded paths and answer 404 and 405 as plain text. Its error handlers
    have nothing to do, since the dispatcher answers every request.
    """

    def __init__(self, dispatcher: Dispatcher, lifespan: Lifespan[Starlette]) -> None:
        super().__init__(lifespan=lifespan)
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await self._dispatcher(scope, receive, send)
