"""Shards into one file: stored chunks are copied, nothing is rendered or compressed again."""

from pathlib import Path

from gazetools.cache import create_cache, open_cache
from gazetools.errors import CacheError, OutputError
from gazetools.files import check_output, locked
from gazetools.progress import Progress, unseen


def merge(folder: Path, out: Path, *, overwrite: bool = False, progress: Progress = unseen) -> int:
    """Put a folder of shards into one cache, which is what ``render`` to a file had made.

    Returns
    -------
    int
        Number of items.

    Raises
    ------
    CacheError
        `folder` holds no shards, or one of them is damaged.
    OutputError
        `out` exists and `overwrite` is false, or the disk refuses to take it.
    """
    if not folder.is_dir():
        raise CacheError(f"{folder}: no such folder; expected one that `gazetools render` wrote")
    check_output(out, overwrite=overwrite)
    if out.resolve().parent == folder.resolve():
        raise OutputError(f"{out}: lies among the shards; name a file outside {folder}")
    with (
        locked(out),
        open_cache(folder) as shards,
        create_cache(
            out,
            shards.spec,
            len(shards),
            recipe=shards.recipe,
            sources=shards.sources,
            overwrite=overwrite,
        ) as writer,
    ):
        for index, item in enumerate(shards.items):
            writer.add(shards.stored(index))
            progress(index + 1, len(shards), item.name)
    return len(shards.items)
