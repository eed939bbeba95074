"""A cache that every process opens for itself, and that stays the one it was at first."""

import os
from pathlib import Path
from threading import Lock
from typing import Any

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError

_OPENING = Lock()


class OpenedCache:
    """A cache as it was when first opened, for the threads and processes that read it later.

    Parameters
    ----------
    cache : Cache
        As first opened; whoever opened it closes it.
    with_text : bool
        Whether its text will be read, too, and so must not change.

    Attributes
    ----------
    sha256 : str
        Of the cache, see :class:`gazetools.cache.Cache`.
    text_sha256 : str
        Of the text in it, if that is read; else empty.
    """

    def __init__(self, cache: Cache, *, with_text: bool) -> None:
        self._opened: tuple[int, Cache] | None = None
        self.path: Path = cache.path
        self._with_text = with_text
        self.sha256, self.text_sha256 = self._digests(cache)

    def get(self) -> Cache:
        """Return the cache, opened when a process first asks: its threads share it.

        Raises
        ------
        CacheError
            It cannot be opened, or is another than at first.
        """
        with _OPENING:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), self._opened_again()
            return self._opened[1]

    def close(self) -> None:
        """Close what was opened; to ask again opens it again."""
        if self._opened is not None:
            self._opened[1].close()
        self._opened = None

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _opened_again(self) -> Cache:
        cache = open_cache(self.path)
        sha256, text_sha256 = self._digests(cache)
        if sha256 != self.sha256:
            cache.close()
            raise CacheError(
                f"{self.path}: was changed since it was first read; its sha256 was "
                f"{self.sha256[:12]}, is {sha256[:12]}; put that one back, or begin anew"
            )
        if text_sha256 != self.text_sha256:
            cache.close()
            raise CacheError(
                f"{self.path}: its text was changed since it was first read; encode the same "
                "descriptions again, or begin anew"
            )
        return cache

    def _digests(self, cache: Cache) -> tuple[str, str]:
        return cache.sha256, cache.text.sha256 if self._with_text and cache.text else ""
