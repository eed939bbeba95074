"""Batches of a data set in their order, read when asked for or ahead of it."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

import numpy as np
import numpy.typing as npt

from gazetools.errors import TrainingError
from gradtrack_model.augmentation import Changes
from gradtrack_model.batches import CacheBatches, Key, RawBatch
from gradtrack_model.distributed import rank, ranks

_STREAM = 1  # apart from the stream of random numbers that augments


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, _STREAM, epoch]).permutation(count)


def batch_keys(seed: int, count: int, batch_size: int, iteration: int) -> list[Key]:
    """Return the keys of one batch: a pure function of its arguments.

    Each epoch is a permutation of the split; batches run over their ends, so that every item
    is seen equally often and every batch is full.
    """
    start = iteration * batch_size
    return [
        (epoch, int(_permutation(seed, epoch, count)[position]))
        for epoch, position in (divmod(place, count) for place in range(start, start + batch_size))
    ]


def raw_batches(
    dataset: CacheBatches, batch_size: int, iterations: range, *, workers: int = 0
) -> Generator[RawBatch]:
    """Return the batches of some iterations, one by one; :meth:`CacheBatches.finish` ends them.

    The items of a batch are sorted by how they are turned. Each of several processes gets its
    share of every batch. Workers read ahead where a data set is read from its file. They are
    threads: reading leaves the interpreter to others, and a batch would take longer to come from
    another process than to be read.

    Raises
    ------
    TrainingError
        The split is empty.
    CacheError
        When a batch is asked for whose bytes are damaged, or of a cache that was changed.
    """
    if not len(dataset):
        raise TrainingError(f"{dataset.path}: split {dataset.split!r} has no items")
    own = slice(rank(), None, ranks())
    plans = (
        dataset.plan(batch_keys(dataset.seed, len(dataset), batch_size, iteration)[own])
        for iteration in iterations
    )
    if workers and dataset.source == "file":
        return _read_ahead(dataset, plans, workers)
    return (dataset.fetch(*plan) for plan in plans)


def _read_ahead(
    dataset: CacheBatches, plans: Iterator[tuple[list[Key], Changes]], workers: int
) -> Generator[RawBatch]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    started: deque[Future[RawBatch]] = deque()

    def start(count: int) -> None:
        started.extend(pool.submit(dataset.fetch, *plan) for plan in islice(plans, count))

    try:
        start(2 * workers)
        while started:
            raw = started.popleft().result()
            start(1)
            yield raw
    finally:
        pool.shutdown(cancel_futures=True)
