"""What holds for every test."""

from __future__ import annotations

import signal

# A shell starts its background jobs with ^C ignored, and every program that a test starts would
# inherit that: those that are to be interrupted could not be.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
