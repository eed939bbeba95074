"""A cache in one file, made of the items that it held before and of shards."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gazetools.cache import Cache, Encoded, create_cache, open_cache
from gazetools.errors import CacheError, OutputError
from gazetools.files import keep_folder
from gazetools.rendering.planning import Plan
from gazetools.rendering.shards import Run, ShardTask, identity, is_done, tasks_for
from gazetools.rendering.spec import RenderSummary

_SHARDS_AT_LEAST = 16  # so that a small job, too, keeps all workers busy


def make_file(
    out: Path, plan: Plan, run: Run, summary: RenderSummary, *, shard_items: int, overwrite: bool
) -> None:
    """Bring the cache at `out` up to date, or make it.

    Shards wait in a hidden folder beside it until all are there: what was rendered before a
    process died is not rendered again.
    """
    with _cache_before(out, plan, overwrite=overwrite) as before:
        kept = _kept(before, plan, summary)
        parts = out.with_name(f".{out.name}.parts")
        if before is not None and _is_up_to_date(before, plan, kept):
            summary.reused = len(plan.jobs)
            shutil.rmtree(parts, ignore_errors=True)
            return
        summary.text_dropped = before is not None and before.text is not None
        new = [job for job in plan.jobs if job.made_from not in kept]
        with _holding(parts):
            tasks = tasks_for(
                new,
                parts,
                plan.spec,
                items=min(shard_items, -(-len(new) // _SHARDS_AT_LEAST) or 1),
                first=0,
                durable=False,
            )
            _sweep(parts, tasks)
            todo = [task for task in tasks if overwrite or not is_done(task)]
            summary.rendered = sum(len(task.jobs) for task in todo)
            summary.reused = len(plan.jobs) - summary.rendered
            run(todo, summary.reused)
            _put_together(out, plan, before, kept, tasks)


def check_file(out: Path, *, overwrite: bool) -> None:
    """Refuse, before the work, a file that cannot be brought up to date."""
    if out.exists() and not overwrite:
        try:
            open_cache(out).close()
        except CacheError as error:
            raise _refusal(
                out, f"it is no cache that could be brought up to date: {error}"
            ) from error


@contextmanager
def _cache_before(out: Path, plan: Plan, *, overwrite: bool) -> Iterator[Cache | None]:
    """Open the cache that is to be brought up to date, if there is one."""
    if overwrite or not out.exists():
        yield None
        return
    with open_cache(out) as cache:
        if not {item.name for item in cache.items} & {job.name for job in plan.jobs}:
            raise _refusal(out, "it is a cache of other images")
        yield cache


def _refusal(out: Path, why: str) -> OutputError:
    return OutputError(f"{out}: already exists; remove it or pass --overwrite ({why})")


def _kept(before: Cache | None, plan: Plan, summary: RenderSummary) -> dict[str, int]:
    """Items that need not be rendered again, by what they were made from."""
    if before is None:
        return {}
    summary.changed = plan.changed_since(before.recipe)
    names = {job.name for job in plan.jobs}
    summary.removed = [item.name for item in before.items if item.name not in names]
    wanted = {job.made_from for job in plan.jobs}
    kept = {}
    for index, item in enumerate(before.items):
        if item.made_from in wanted:
            try:
                before.stored(index)
                kept[item.made_from] = index
            except CacheError:
                summary.mended.append(item.name)
    return kept


def _is_up_to_date(before: Cache, plan: Plan, kept: dict[str, int]) -> bool:
    same = [identity(item) for item in before.items] == [identity(job) for job in plan.jobs]
    same = same and all(job.made_from in kept for job in plan.jobs)
    return same and before.recipe == plan.recipe and before.sources == plan.sources


@contextmanager
def _holding(parts: Path) -> Iterator[None]:
    """Keep a folder for shards; it goes when all is done, or if it was not used."""
    if parts.is_symlink():  # what lies behind is not ours to sweep
        raise OutputError(f"{parts}: is a link; expected a folder of our own, remove the link")
    keep_folder(parts)
    try:
        yield
    except BaseException:
        _sweep(parts)
        with suppress(OSError):
            parts.rmdir()
        raise
    shutil.rmtree(parts, ignore_errors=True)


def _sweep(parts: Path, tasks: Sequence[ShardTask] | None = None) -> None:
    """Remove what killed workers left behind, and shards that are not wanted any more."""
    wanted = {task.path for task in tasks} if tasks is not None else set(parts.glob("shard-*.h5"))
    with suppress(OSError):  # they will go with the folder
        for file in set(parts.iterdir()) - wanted:
            file.unlink(missing_ok=True)


def _put_together(
    out: Path,
    plan: Plan,
    before: Cache | None,
    kept: dict[str, int],
    tasks: Sequence[ShardTask],
) -> None:
    with create_cache(
        out,
        plan.spec.cache(),
        len(plan.jobs),
        recipe=plan.recipe,
        sources=plan.sources,
        overwrite=True,
    ) as writer:
        new = _items_of(tasks)
        for job in plan.jobs:
            if before is not None and job.made_from in kept:
                item = before.stored(kept[job.made_from])
            else:
                item = next(new)
            if item.made_from != job.made_from:
                raise OutputError(f"{out}: its parts were changed meanwhile; render again")
            writer.add(replace(item, name=job.name, split=job.split))


def _items_of(tasks: Sequence[ShardTask]) -> Iterator[Encoded]:
    for task in tasks:
        with open_cache(task.path) as shard:
            for index in range(len(shard)):
                yield shard.stored(index)
