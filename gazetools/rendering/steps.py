"""The order of the steps: look at the inputs, plan, render what is not there yet."""

from collections.abc import Sequence
from pathlib import Path

from gazetools.errors import ConfigError, OutputError
from gazetools.files import locked, sweep_orphans
from gazetools.progress import Progress, Tally, unseen
from gazetools.rendering.folder import check_folder, is_folder, make_folder
from gazetools.rendering.matching import Source, curated, match
from gazetools.rendering.onefile import check_file, make_file
from gazetools.rendering.planning import Plan, Scan, digests, on_image, plan_jobs, scan
from gazetools.rendering.running import run
from gazetools.rendering.shards import ShardTask
from gazetools.rendering.spec import RenderSpec, RenderSummary
from gazetools.tables import FIXATIONS, read_table
from gazetools.workers import Workers, on_threads

SHARD_ITEMS = 128
_SUFFIXES = (".h5", ".hdf5")


def render(
    fixations: Path,
    images: Path,
    masks: Path | None,
    out: Path,
    spec: RenderSpec | None = None,
    *,
    probabilities: Path | None = None,
    curation: Path | None = None,
    workers: Workers | None = None,
    shard_items: int = SHARD_ITEMS,
    overwrite: bool = False,
    progress: Progress = unseen,
) -> RenderSummary:
    """Render every image that was looked at, and every listed test image, into a cache.

    Whatever stops it, the same call goes on where it stopped, and the result has the bytes of
    one that was never stopped. A cache that is there already is brought up to date: only what
    is new in its inputs, or drawn with other settings, is rendered.

    Parameters
    ----------
    fixations : Path
        Parquet of :func:`gazetools.ingestion.ingest`.
    images, masks : Path
        Folders; a file belongs to a stimulus of the same name, with or without suffix.
        Masks are stored for evaluation and never looked at otherwise.
    out : Path
        The cache: a file, which appears when all is done, or, if the name has no suffix, a
        folder of shards.
    probabilities : Path, optional
        Folder of grey images, one for each that was looked at: what a network says, see
        :func:`gazetools.masks.pseudo_mask`. Only for pseudo-masks by GrabCut.
    curation : Path, optional
        Decisions on the fixations, see :mod:`gazetools.curation`.
    workers : Workers, optional
    shard_items : int
        Items of a shard: seconds of work for a worker, and the most that a killed one loses.
    overwrite : bool
        Render all afresh, and replace whatever file is there.

    Raises
    ------
    FormatError
        An image or mask cannot be read, does not fit the table, or belongs to nothing; or a
        decision does.
    GeometryError
        No stimulus has both an image and a fixation on it.
    OutputError
        Something else is there, another process is writing it, or the disk refuses to take it.
    """
    spec, workers = spec or RenderSpec(), workers or Workers()
    if shard_items < 1:
        raise ConfigError(f"shard_items is {shard_items}; expected at least 1")
    if probabilities is not None and spec.masks.source != "grabcut":
        raise ConfigError(
            f"probabilities are for pseudo-masks by grabcut, not by {spec.masks.source}"
        )
    _check_folders(images=images, masks=masks, probabilities=probabilities)
    files = [fixations, *spec.split.files, *([curation] if curation is not None else [])]
    _check_name(out, files, [images, masks, probabilities])
    if workers.dask is not None:  # where a worker runs is not here
        images, out = images.resolve(), out.resolve()
        masks = masks.resolve() if masks is not None else None
        probabilities = probabilities.resolve() if probabilities is not None else None
    in_folder = is_folder(out)
    with locked(out):
        sweep_orphans(out)
        if in_folder:
            check_folder(out)
        else:
            check_file(out, overwrite=overwrite)
        summary = RenderSummary(levels=spec.tracks.levels)
        table, made_by = read_table(fixations, FIXATIONS)
        table = curated(table, curation, summary)
        sources = match(table, images, masks, probabilities, spec.split, summary)
        scans = _scan_all(sources, workers, progress)
        sources, scans = on_image(sources, scans, spec.split, summary)
        told = {"ingest": made_by} | ({"curation": summary.curation} if curation else {})
        sha256 = digests(fixations, curation, scans)
        plan = Plan(plan_jobs(sources, scans, spec, summary), spec, spec.recipe() | told, sha256)
        summary.masks = sum(job.mask is not None for job in plan.jobs)

        def render_shards(tasks: Sequence[ShardTask], there: int) -> None:
            run(tasks, workers, Tally(there, len(plan.jobs), progress))

        make = make_folder if in_folder else make_file
        make(out, plan, render_shards, summary, shard_items=shard_items, overwrite=overwrite)
    summary.items = len(plan.jobs)
    return summary


def _check_folders(**folders: Path | None) -> None:
    """Refuse one folder for two things: the network would learn from what it must not see."""
    given: dict[Path, str] = {}
    for what, folder in folders.items():
        if folder is not None and given.setdefault(folder.resolve(), what) != what:
            raise ConfigError(
                f"{folder}: named for {given[folder.resolve()]} and for {what}; expected a folder "
                "for each"
            )


def _check_name(out: Path, files: Sequence[Path], folders: Sequence[Path | None]) -> None:
    """Refuse a cache that would lie over its inputs, or where there is no folder."""
    if not out.parent.is_dir():
        raise OutputError(f"{out}: folder {out.parent} does not exist; create it first")
    if out.suffix and not out.is_dir() and out.suffix not in _SUFFIXES:
        raise OutputError(
            f"{out}: caches end in {', '.join(_SUFFIXES)}, or in nothing for a folder of shards; "
            f"name it {out.stem}.h5"
        )
    inside = {folder.resolve() for folder in folders if folder is not None}
    if out.resolve() in {file.resolve() for file in files} or inside & {
        out.resolve(),
        out.resolve().parent,
    }:
        raise OutputError(f"{out}: is, or lies among, what is rendered; name another output")


def _scan_all(sources: Sequence[Source], workers: Workers, progress: Progress) -> list[Scan]:
    tally = Tally(0, len(sources), progress)

    def look(number: int) -> tuple[int, Scan]:
        seen = scan(sources[number])
        tally.add(f"looked at {sources[number].name}")
        return number, seen

    seen = dict(on_threads(look, range(len(sources)), workers.count, tally.stop))
    return [seen[number] for number in range(len(sources))]
