"""Ctrl-C where it does no harm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the given function is called: no state is cut in half.

    A second Ctrl-C interrupts at once. Outside the main thread nothing changes.
    """
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def raise_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield raise_if_asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield raise_if_asked
    finally:
        signal.signal(signal.SIGINT, before)
