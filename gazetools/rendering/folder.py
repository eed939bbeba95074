"""A cache in a folder of shards, which stay where their workers put them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gazetools.cache import open_cache
from gazetools.cache.sharded import MANIFEST, SHARD_NAME, ShardedCache, write_manifest
from gazetools.errors import CacheError, OutputError
from gazetools.rendering.planning import Plan, changes
from gazetools.rendering.shards import Run, identity, is_done, tasks_for
from gazetools.rendering.spec import RenderSummary


def is_folder(out: Path) -> bool:
    """Whether a cache of this name is a folder of shards."""
    return out.is_dir() or not out.suffix


def make_folder(
    out: Path, plan: Plan, run: Run, summary: RenderSummary, *, shard_items: int, overwrite: bool
) -> None:
    """Bring the shards in `out` up to date, or make them; the manifest tells when all is done.

    Shards whose items are all still wanted stay as they are. The others go once those that
    replace them are there.
    """
    out.mkdir(exist_ok=True)
    before = _shards_before(out, plan, summary)
    first = 1 + max((_number(shard) for shard in before), default=-1)
    kept = {} if overwrite else _kept(before, plan)
    there = {item for items in kept.values() for item in items}
    new = [job for job in plan.jobs if identity(job) not in there]
    tasks = tasks_for(new, out, plan.spec, items=shard_items, first=first, durable=True)
    todo = [task for task in tasks if not is_done(task)]
    summary.rendered = sum(len(task.jobs) for task in todo)
    summary.reused = len(plan.jobs) - summary.rendered
    run(todo, summary.reused)
    shards = [*kept, *(task.path for task in tasks)]
    write_manifest(out, shards, spec=plan.spec.cache(), recipe=plan.recipe, sources=plan.sources)
    summary.shards = len(shards)
    _sweep(out, shards)


def check_folder(out: Path) -> None:
    """Refuse, before the work, a folder that holds anything else."""
    if not out.exists():
        return
    foreign = [file for file in out.iterdir() if not _is_ours(file)]
    if foreign:
        raise OutputError(
            f"{out}: is a folder that holds other files, such as {foreign[0].name}; name a new "
            "folder, or a file such as maps.h5"
        )


def _is_ours(file: Path) -> bool:
    return (
        file.name == MANIFEST
        or SHARD_NAME.fullmatch(file.name) is not None
        or (file.name.startswith(".") and file.suffix == ".part")
    )


def _shards_before(out: Path, plan: Plan, summary: RenderSummary) -> tuple[Path, ...]:
    if not (out / MANIFEST).exists():
        return ()
    with ShardedCache(out) as cache:
        summary.changed = changes(cache.recipe, plan.recipe)
        return cache.shards


def _kept(before: Sequence[Path], plan: Plan) -> dict[Path, set[tuple[str, str, str]]]:
    """Shards that are sound and whose items are all still wanted, with these items."""
    wanted = {identity(job) for job in plan.jobs}
    kept = {}
    for shard in before:
        with suppress(CacheError), open_cache(shard) as cache:
            items = {identity(item) for item in cache.verify()}
            if items <= wanted and cache.spec == plan.spec.cache():
                kept[shard] = items
    return kept


def _number(shard: Path) -> int:
    match = SHARD_NAME.fullmatch(shard.name)
    assert match is not None
    return int(match.group(1))


def _sweep(out: Path, shards: Sequence[Path]) -> None:
    """Remove shards that are no longer wanted, and what killed workers left behind."""
    for file in set(out.iterdir()) - {*shards, out / MANIFEST}:
        file.unlink()
