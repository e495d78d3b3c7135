"""Lanes: layers of a run that follow each other, beside its scenarios."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from synth_pools.contract.exceptions import StoppedError


class Lane(threading.Thread):
    """Layers in a thread of their own; its error is raised where its end is waited for.

    Attributes:
        phase: The layer that goes on, or how far it is.
    """

    def __init__(
        self,
        layers: Iterable[str],
        carry_out: Callable[[str, Callable[[str], None]], None],
        may_begin: Callable[[], bool],
    ) -> None:
        """Start the thread.

        Args:
            layers: The names of the layers, in their order.
            carry_out: Carries out a layer; its second argument is a callback for how far it is.
            may_begin: Returns False if no further layer is to begin.
        """
        # A daemon: after ^C the process does not wait for a thread that hangs in a read.
        super().__init__(name="contract-lane", daemon=True)
        self.phase = ""
        self._layers = tuple(layers)
        self._carry_out = carry_out
        self._may_begin = may_begin
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Carry out the layers until one raises an error."""
        try:
            for layer in self._layers:
                if not self._may_begin():
                    break
                self.phase = layer
                self._carry_out(layer, self._tell)
        except StoppedError:
            # The time may have run out, which is noted there.
            self._may_begin()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            self._error = error

    def _tell(self, phase: str) -> None:
        self.phase = phase

    def raise_error(self) -> None:
        """Raise the error that ended it, unless it is that the run was stopped.

        Raises:
            BaseException: A layer raised it.
        """
        if self._error is not None:
            raise self._error
