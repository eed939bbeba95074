"""From the files of a dataset to checked tables and splits."""

import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gazetools.datasets.checking import Check, check_copy, check_files, expect_passed, failed
from gazetools.datasets.copy import look_at, read_gaze
from gazetools.datasets.definition import DataFile, Definition
from gazetools.errors import ConfigError, FormatError, GeometryError, OutputError, SchemaError
from gazetools.files import check_output, locked, replacing
from gazetools.progress import Progress, unseen

RECORD = "dataset.json"
FORMAT = "gazetools-prepared"


@dataclass(frozen=True)
class Prepared:
    """What was made of a dataset.

    Attributes
    ----------
    fixations : Path or None
        The table, where there is gaze.
    splits : dict of str to tuple of Path
        Files of names (train.txt ...) for ``gazetools render --split``, by split.
    checks : tuple of Check
    record : Path
        JSON of the definition's facts and of every check.
    """

    fixations: Path | None
    splits: dict[str, tuple[Path, ...]]
    checks: tuple[Check, ...]
    record: Path


def prepare(
    definition: Definition,
    root: Path,
    out: Path | None = None,
    *,
    download: bool = False,
    overwrite: bool = False,
    progress: Progress = unseen,
) -> Prepared:
    """Check a copy of a dataset and write its tables and splits.

    ``fixations.parquet``, ``splits/<name>/train.txt`` ... and last ``dataset.json`` go to `out`.
    What was prepared of the same dataset before is replaced. Where a check fails, only
    ``dataset.json`` is written.

    Parameters
    ----------
    root : Path
        Where the files of the definition lie.
    out : Path, optional
        `root` by default.
    download : bool
        Fetch what is missing and may be fetched.
    overwrite : bool
        Replace a table of fixations that was not prepared of this dataset.

    Raises
    ------
    ChecksFailed
        A check failed.
    FormatError
        There is no such folder.
    ConfigError
        Something is to be downloaded that may not be.
    OutputError
        `out` cannot be written.
    """
    out = root if out is None else out
    if download:
        _download(definition, root, progress)
    if not root.is_dir():
        raise FormatError(f"{root}: no such folder; expected the files of {definition.name}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror})") from error
    with locked(out / RECORD):
        if not overwrite and not _is_ours(out, definition):
            check_output(out / "fixations.parquet")
        return _prepare(definition, root, out, progress)


def _is_ours(out: Path, definition: Definition) -> bool:
    """Whether what lies there was prepared of this dataset."""
    try:
        told = json.loads((out / RECORD).read_text(encoding="utf-8"))
        return bool(told["format"] == FORMAT and told["dataset"] == definition.name)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _prepare(definition: Definition, root: Path, out: Path, progress: Progress) -> Prepared:
    checks = check_files(definition, root)
    # what is wrong with a table of gaze, its figures tell better than its digest
    altered_gaze = {f"{file.path} is unaltered" for file in definition.of_role("fixations")}
    readable = {check.name for check in failed(checks)} <= altered_gaze
    waiting = out / ".fixations.parquet"
    try:
        gaze = definition.gaze_table is not None and readable
        off_image = 0
        if gaze:
            found, off_image = _read_gaze(definition, root, waiting)
            checks += found
            readable = not found
        if readable:
            table = waiting if gaze else None
            checks += check_copy(look_at(definition, root, table, off_image, progress))
        if failed(checks) or not checks:
            _write_record(definition, out, checks)
            expect_passed(definition.name, checks)
        fixations = waiting.replace(out / "fixations.parquet") if gaze else None
        splits = _write_splits(definition, root, out)
        record = _write_record(definition, out, checks)
    finally:
        waiting.unlink(missing_ok=True)
    return Prepared(fixations, splits, tuple(checks), record)


def _read_gaze(definition: Definition, root: Path, out: Path) -> tuple[list[Check], int]:
    """Read the gaze; return checks that failed, and how many fixations lie on no image."""
    assert definition.gaze_table is not None
    space = definition.gaze_table.space
    try:
        return [], read_gaze(definition, root, out, overwrite=True)
    except GeometryError as error:
        advice = f"are its positions something else than {space}?"
        return [Check("gaze lies on the images", False, str(error), space, advice)], 0
    except (FormatError, SchemaError) as error:
        name = f"gaze is {definition.gaze_table.format}"
        return [Check(name, False, str(error), "a table of that format")], 0


def _write_record(definition: Definition, out: Path, checks: list[Check]) -> Path:
    facts: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "gazetools": version("gazetools"),
        "dataset": definition.name,
        **{name: getattr(definition, name) for name in ("title", "terms", "citations", "traps")},
        "passed": not failed(checks),
        "checks": [asdict(check) for check in checks],
    }
    path = out / RECORD
    with replacing(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


def _write_splits(definition: Definition, root: Path, out: Path) -> dict[str, tuple[Path, ...]]:
    """Copy lists under the names that tell their split."""
    written = {}
    for split in definition.splits:
        folder = out / "splits" / split.name
        folder.mkdir(parents=True, exist_ok=True)
        for part, path in split.lists.items():
            with replacing(folder / f"{part}.txt", overwrite=True) as temporary:
                shutil.copyfile(root / path, temporary)
        written[split.name] = tuple(folder / f"{part}.txt" for part in split.lists)
    return written


# ---------------------------------------------------------------- fetching


def _download(definition: Definition, root: Path, progress: Progress) -> None:
    """Fetch what is missing; a file that does not match its digest is not kept."""
    if definition.access != "open":
        raise ConfigError(
            f"{definition.name}: is never fetched (access: {definition.access}); get it from "
            f"{', '.join(definition.homepages)} under its terms, and name its folder with --root"
        )
    wanted = [file for file in definition.files if file.url and not (root / file.path).exists()]
    root.mkdir(parents=True, exist_ok=True)
    for done, file in enumerate(wanted):
        progress(done, len(wanted), file.path)
        _fetch(file, root)


def _fetch(file: DataFile, root: Path) -> None:
    try:
        import pooch
    except ImportError as error:
        raise ConfigError(
            f"{file.path}: cannot be fetched ({error}); run: pip install gazetools[datasets]"
        ) from error
    target = root / file.path
    name = Path(file.url).name if file.unpack else target.name
    folder = root if file.unpack else target.parent
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=name,
            path=folder,
            processor=pooch.Unzip(extract_dir=".") if file.unpack else None,
        )
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{file.url}: cannot be fetched ({str(error).splitlines()[0]}); try again, or put "
            f"{target} there by hand"
        ) from error
