"""Shards rendered side by side: by threads of this machine, or by a Dask cluster."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2

from gazetools.progress import Tally
from gazetools.rendering.shards import ShardTask, render_shard
from gazetools.workers import Workers, on_dask, on_threads


def run(tasks: Sequence[ShardTask], workers: Workers, tally: Tally) -> None:
    """Render shards; `tally` counts their items."""
    if not tasks:
        return
    if workers.dask is None:
        work = partial(render_shard, item_done=tally.add)
        for _ in on_threads(work, tasks, workers.count, tally.stop):
            pass
        return
    items = {task.path: len(task.jobs) for task in tasks}
    tally.tell(f"waiting for workers of {workers.dask}")
    for shard in on_dask(_render_alone, tasks, workers.dask):
        tally.add(shard.name, items[shard])


def _render_alone(task: ShardTask) -> Path:
    cv2.setNumThreads(1)  # a cluster gives a task one core
    return render_shard(task)
