"""A cache in a folder of shards, which stay where their workers put them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gazetools.cache import open_cache
from gazetools.cache.sharded import MANIFEST, SHARD_NAME, read_manifest, write_manifest
from gazetools.errors import CacheError, OutputError
from gazetools.files import keep_folder
from gazetools.rendering.planning import Plan
from gazetools.rendering.shards import Run, identity, is_done, tasks_for
from gazetools.rendering.spec import RenderSummary

_TEMPORARY = re.compile(r"\.(shard-.*\.h5|manifest\.parquet)\..*\.part")


def is_folder(out: Path) -> bool:
    """Whether a cache of this name is a folder of shards."""
    return out.is_dir() or not out.suffix


def check_folder(out: Path) -> None:
    """Refuse, before the work, what is no folder, or one that holds anything else."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; name a new folder, or a file such as maps.h5")
    foreign = [f for f in out.iterdir() if not f.name.startswith(".") and not _is_ours(f)]
    if foreign:
        raise OutputError(
            f"{out}: is a folder that holds other files, such as {foreign[0].name}; name a new "
            "folder, or a file such as maps.h5"
        )


def make_folder(
    out: Path, plan: Plan, run: Run, summary: RenderSummary, *, shard_items: int, overwrite: bool
) -> None:
    """Bring the shards in `out` up to date, or make them; the manifest tells when all is done.

    Shards whose items are all still wanted stay as they are. The others go once those that
    replace them are there.
    """
    before = [] if overwrite else _shards_before(out, plan, summary)
    kept = _kept(before, plan, summary)
    there = {item for items in kept.values() for item in items}
    new = [job for job in plan.jobs if identity(job) not in there]
    first = 1 + max((_number(shard) for shard in before), default=-1)
    tasks = tasks_for(new, out, plan.spec, items=shard_items, first=first, durable=True)
    todo = [task for task in tasks if overwrite or not is_done(task)]
    summary.rendered = sum(len(task.jobs) for task in todo)
    summary.reused = len(plan.jobs) - summary.rendered
    with _made(out):
        run(todo, summary.reused)
    shards = [*kept, *(task.path for task in tasks)]
    write_manifest(out, shards, spec=plan.spec.cache(), recipe=plan.recipe, sources=plan.sources)
    summary.shards = len(shards)
    _sweep(out, shards)


def _shards_before(out: Path, plan: Plan, summary: RenderSummary) -> list[Path]:
    """Shards of the manifest, if there is one that can be read."""
    if not (out / MANIFEST).exists():
        return []
    try:
        table, about = read_manifest(out)
    except CacheError:
        summary.mended.append(MANIFEST)
        return []
    summary.changed = plan.changed_since(about["recipe"])
    return [out / name for name in table["shard"]]


def _kept(
    before: Sequence[Path], plan: Plan, summary: RenderSummary
) -> dict[Path, set[tuple[str, str, str]]]:
    """Shards that are sound and whose items are all still wanted, with these items."""
    wanted, names = {identity(job) for job in plan.jobs}, {job.name for job in plan.jobs}
    kept = {}
    for shard in before:
        try:
            with open_cache(shard) as cache:
                items = {identity(item) for item in cache.verify()}
                same_shape = cache.spec == plan.spec.cache()
        except CacheError:
            summary.mended.append(shard.name)
            continue
        summary.removed += sorted(name for name, *_ in items if name not in names)
        if items <= wanted and same_shape:
            kept[shard] = items
            wanted -= items
    return kept


@contextmanager
def _made(out: Path) -> Iterator[None]:
    """Make the folder; it goes again if nothing was put into it."""
    keep_folder(out)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            out.rmdir()
        raise


def _number(shard: Path) -> int:
    match = SHARD_NAME.fullmatch(shard.name)
    assert match is not None
    return int(match.group(1))


def _sweep(out: Path, shards: Sequence[Path]) -> None:
    """Remove shards that are no longer wanted, and what killed workers left behind."""
    wanted = {*shards, out / MANIFEST}
    with suppress(OSError):  # what cannot be removed does no harm
        for file in out.iterdir():
            if file not in wanted and _is_ours(file):
                file.unlink(missing_ok=True)


def _is_ours(file: Path) -> bool:
    names = (re.escape(MANIFEST), SHARD_NAME, _TEMPORARY)
    return file.is_file() and any(re.fullmatch(name, file.name) for name in names)
