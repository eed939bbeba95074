"""Shards: complete small caches, each rendered by one worker, of which a whole one is made."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetools.cache import Item, create_cache, encode, open_cache
from gazetools.errors import CacheError, ConfigError
from gazetools.rendering.item import render_item
from gazetools.rendering.planning import Job, changes, sha256
from gazetools.rendering.spec import RenderSpec

ItemDone = Callable[[str], None]
"""Called with an item's name; what it raises ends the work."""


@dataclass(frozen=True)
class ShardTask:
    """All that a worker, here or on another machine, needs to render one shard.

    Attributes
    ----------
    path : Path
        Of the shard; the folder is there.
    jobs : tuple of Job
    spec : RenderSpec
    drawing : mapping
        What ``spec.drawing()`` was where the jobs were planned.
    durable : bool
        Whether the shard must outlive a power failure, not only a killed process.
    """

    path: Path
    jobs: tuple[Job, ...]
    spec: RenderSpec
    drawing: Mapping[str, Any]
    durable: bool


Run = Callable[[Sequence[ShardTask], int], None]
"""Renders tasks; the number tells how many items of the whole are there already."""


def render_shard(task: ShardTask, item_done: ItemDone = lambda name: None) -> Path:
    """Render a shard; its file appears when it is complete, over whatever was there.

    Raises
    ------
    ConfigError
        This worker's versions of what draws are not those of the one that planned.
    """
    differing = changes(task.drawing, task.spec.drawing())
    if differing:
        raise ConfigError(
            f"{platform.node()}: this worker would draw otherwise ({', '.join(differing)}); "
            "install the same versions everywhere"
        )
    shape = task.spec.cache()
    with create_cache(
        task.path,
        shape,
        len(task.jobs),
        recipe=task.drawing,
        sources={},
        overwrite=True,
        durable=task.durable,
    ) as writer:
        for job in task.jobs:
            writer.add(encode(render_item(job, task.spec), shape))
            item_done(job.name)
    return task.path


def tasks_for(
    jobs: Sequence[Job], folder: Path, spec: RenderSpec, *, items: int, first: int, durable: bool
) -> list[ShardTask]:
    """Part jobs into shards of `items` each, numbered from `first`.

    The name of a shard tells what it holds: what a late worker writes for another plan cannot
    be taken for it.
    """
    parts = (tuple(jobs[begin : begin + items]) for begin in range(0, len(jobs), items))
    drawing = spec.drawing()
    return [
        ShardTask(folder / shard_name(number, part), part, spec, drawing, durable)
        for number, part in enumerate(parts, start=first)
    ]


def shard_name(number: int, jobs: Sequence[Job]) -> str:
    """Name a shard by its number and what it holds."""
    held = json.dumps([identity(job) for job in jobs]).encode()
    return f"shard-{number:05d}-{sha256(held)[:12]}.h5"


def is_done(task: ShardTask) -> bool:
    """Whether the shard is there, sound to the last byte, and holds what it should."""
    try:
        with open_cache(task.path) as cache:
            return (
                cache.spec == task.spec.cache()
                and [identity(item) for item in cache.items] == [identity(job) for job in task.jobs]
                and sum(1 for _ in cache.verify()) == len(task.jobs)
            )
    except CacheError:
        return False


def identity(item: Item | Job) -> tuple[str, str, str]:
    """Return what makes two items of the same cache the same."""
    return item.name, item.split, item.made_from
