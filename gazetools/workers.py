"""Tasks done side by side: on threads or processes of this machine, or on a Dask cluster."""

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2

from gazetools.errors import ConfigError


@dataclass(frozen=True)
class Workers:
    """Who does the work, which does not change its result.

    Attributes
    ----------
    count : int
        Workers of this machine; 0 is one per processor.
    dask : str or None
        Address of the scheduler of a Dask cluster that does it instead; its workers must see
        the same files under the same paths.
    """

    count: int = 0
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"{self.count} workers; expected 0, for all processors, or more")


Given = TypeVar("Given")
Made = TypeVar("Made")

_CONNECT_S = 10
_FIRST_WORKER_S = 300
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+")


def processors() -> int:
    """Processors that this process may use; a batch system may grant but a few."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_threads(
    work: Callable[[Given], Made],
    tasks: Sequence[Given],
    count: int,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[Made]:
    """Yield results as they are done; a count of 0 is one per processor.

    When one fails, or the caller leaves off, tasks that have not begun never will, and `stop`
    is called to end those that have.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's own threads would fight for the same cores
    try:
        yield from _on(ThreadPoolExecutor(count or processors()), work, tasks, stop)
    finally:
        cv2.setNumThreads(before)


def on_processes(
    work: Callable[[Given], Made], tasks: Sequence[Given], count: int
) -> Iterator[Made]:
    """Do as :func:`on_threads` does, for work that holds Python's lock.

    Raises
    ------
    ConfigError
        A process died.
    """
    pool = ProcessPoolExecutor(
        count or processors(),
        get_context("spawn"),  # a fork would copy the locks of threads that it does not copy
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),  # Ctrl-C ends them without a traceback
    )
    try:
        yield from _on(pool, work, tasks)
    except BrokenProcessPool as error:
        raise ConfigError(
            "a worker process died, as they do for want of memory; take fewer workers"
        ) from error


def on_dask(work: Callable[[Given], Made], tasks: Sequence[Given], address: str) -> Iterator[Made]:
    """Yield results of a Dask cluster as they are done; tasks of lost workers go to others.

    Raises
    ------
    ConfigError
        dask.distributed is not installed, no scheduler answers, or workers die again and again.
    """
    distributed = _distributed()
    with _client(distributed, address) as client:
        futures = client.map(work, tasks, pure=False)
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
            for future in distributed.as_completed(futures, loop=client.loop):
                yield future.result()
        except distributed.KilledWorker as error:
            raise ConfigError(
                f"{address}: workers died over one task again and again; their logs tell why, "
                "too little memory is the usual reason"
            ) from error
        except TimeoutError as error:
            raise ConfigError(
                f"{address}: no worker came in {_FIRST_WORKER_S} s; start some with "
                f"`dask worker {address}`, and then the same command"
            ) from error
        except RuntimeError as error:
            if "deserializ" not in str(error):
                raise
            raise ConfigError(
                f"{address}: the cluster runs another gazetools; install the same version there, "
                "and start it again"
            ) from error
        except (CancelledError, distributed.comm.CommClosedError) as error:
            raise ConfigError(
                f"{address}: the cluster was lost; start it again, and then the same command"
            ) from error
        finally:
            with suppress(CancelledError, OSError):
                client.cancel(futures)


def _on(
    pool: Executor,
    work: Callable[[Given], Made],
    tasks: Sequence[Given],
    stop: Callable[[], None] = lambda: None,
) -> Iterator[Made]:
    try:
        for future in as_completed([pool.submit(work, task) for task in tasks]):
            yield future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        raise ConfigError(
            "a Dask cluster needs the package distributed; install gazetools[dask]"
        ) from error


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    expected = "expected an address such as tcp://host:8786, which `dask scheduler` prints"
    if not _ADDRESS.fullmatch(address):
        raise ConfigError(f"{address}: is no address of a Dask scheduler; {expected}")
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{address}: no Dask scheduler answers there ({error}); {expected}"
        ) from error
    try:
        yield client
    finally:
        client.close()
