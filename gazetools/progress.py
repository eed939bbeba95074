"""How long work tells how far it is, whatever shows it."""

import threading
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""


def unseen(done: int, total: int, name: str) -> None:
    """Show nothing."""


class Stopped(BaseException):
    """Ends work that nobody waits for any more."""


class Tally:
    """Counts what several threads have done; once stopped, it stops them all."""

    def __init__(self, done: int, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = done, total, progress
        self._lock = threading.Lock()
        self._stopped = False

    def add(self, name: str, count: int = 1) -> None:
        """Count what was done last; raises :class:`Stopped` after :meth:`stop`."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._done += count
            self._progress(self._done, self._total, name)

    def tell(self, what: str) -> None:
        """Say what is going on, while nothing is done yet."""
        with self._lock:
            self._progress(self._done, self._total, what)

    def stop(self) -> None:
        """Let no thread go on past its next :meth:`add`."""
        self._stopped = True
