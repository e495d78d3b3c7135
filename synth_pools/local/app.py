"""The application that servers run: openapi.yaml, made real."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from synth_pools.spec import load_spec

from .backend import open_backend
from .dispatch import Dispatcher
from .settings import Settings
from .validation import Contract


def create_app(settings: Settings) -> Starlette:
    """Everything is opened when the application starts, and closed, in bounded time, when it ends.

    While it is up, its parts are at `app.state.backend`.
    """
    contract = Contract(load_spec())
    dispatcher = Dispatcher(contract)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_backend(settings, contract) as backend:
            dispatcher.backend = app.state.backend = backend
            app.state.wind_down = backend.wind_down
            try:
                yield
            finally:
                dispatcher.backend = None

    app = Starlette(lifespan=lifespan)
    # Starlette's own routes work on decoded paths and answer 404 and 405 as plain text.
    app.router.default = dispatcher
    return app
