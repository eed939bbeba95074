"""Is a copy of a dataset what its definition says? Every check by name, none silent."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gazetools.datasets.copy import Copy
from gazetools.datasets.definition import DataFile, Definition, Reference, Split
from gazetools.datasets.measuring import MEASURES, OF_GAZE, OF_MASKS, inside_masks
from gazetools.errors import ConfigError, FormatError
from gazetools.files import file_sha256
from gazetools.images import image_stem
from gazetools.splits import SplitSpec, group_images, parted_groups, read_lists

_DIGITS = 32
"""Of a SHA-256, in a list of sums."""


@dataclass(frozen=True)
class Check:
    """What one check came to.

    Attributes
    ----------
    name : str
    passed : bool
    found, expected : str
    advice : str
        What may be wrong, where that can be told.
    """

    name: str
    passed: bool
    found: str
    expected: str
    advice: str = ""


# ---------------------------------------------------------------- files


def check_files(definition: Definition, root: Path) -> list[Check]:
    """Check that all files are there, with the digests that are known."""
    checks = []
    for file in definition.files:
        path = root / file.path
        if not path.exists():
            if not file.optional:
                checks.append(
                    Check(f"{file.path} is there", False, "nothing", file.role, _whence(file))
                )
            continue
        if file.sums:
            checks.append(_check_sums(definition, root, file))
        elif file.sha256 and not file.unpack:
            found = file_sha256(path)
            advice = "it is another version, or damaged" if found != file.sha256 else ""
            checks.append(
                Check(f"{file.path} is unaltered", not advice, found, file.sha256, advice)
            )
    return checks


def _whence(file: DataFile) -> str:
    if file.url:
        return "pass --download, or fetch it from " + file.url
    return file.about or "put it there"


def _check_sums(definition: Definition, root: Path, file: DataFile) -> Check:
    """Compare a folder with a known copy of it.

    Where nothing is as in that copy, this is another, perhaps as good: it is told, and left to
    the figures that a correct copy gives.
    """
    known = read_sums(definition.folder / file.sums, file.path)
    there = {path.name: path for path in (root / file.path).iterdir() if path.is_file()}
    name, expected = f"{file.path} is unaltered", f"{len(known):,} files of the known copy"
    altered = [n for n in sorted(known.keys() & there) if _sum(there[n]) != known[n]]
    if not known:
        raise ConfigError(f"{definition.folder / file.sums}: names no file of {file.path}/")
    if len(altered) == len(known):
        return Check(
            name, True, "another copy than the known one; its digests say nothing", expected
        )
    wrong = [f"altered: {n}" for n in altered]
    wrong += [f"missing: {n}" for n in sorted(known.keys() - there.keys())]
    wrong += [f"unknown: {n}" for n in sorted(there.keys() - known.keys())]
    return Check(name, not wrong, _some(wrong) or f"{len(known):,} files", expected)


def read_sums(path: Path, folder: str) -> dict[str, str]:
    """Read the digests of the files of a folder: lines of 32 hexadecimal digits and a path.

    Raises
    ------
    ConfigError
        The list cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.split("  ", 1) for line in lines if line]
        return {
            name.removeprefix(f"{folder}/"): digest
            for digest, name in pairs
            if name.startswith(f"{folder}/")
        }
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a list of digests ({error})") from error


def sums_of(root: Path, folders: Iterable[str]) -> str:
    """Return the list of digests of all files of some folders, for a definition."""
    files = (path for folder in folders for path in sorted((root / folder).iterdir()))
    return "".join(f"{_sum(path)}  {path.relative_to(root).as_posix()}\n" for path in files)


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]


# ---------------------------------------------------------------- what they hold


def check_copy(copy: Copy) -> list[Check]:
    """Check what images, masks, gaze and splits hold, and the figures of the definition."""
    return [
        *_check_images(copy),
        *_check_gaze(copy),
        *(check for split in copy.definition.splits for check in _check_split(copy, split)),
        *(_check_reference(copy, reference) for reference in copy.definition.reference),
    ]


def _check_images(copy: Copy) -> list[Check]:
    if not copy.images:
        return []
    strangers = sorted(copy.masks.keys() - copy.images.keys())
    checks = [_none("images can be read", copy.unreadable, "every image")]
    if copy.masks:
        checks.append(_none("masks have images", strangers, "an image of each mask's name"))
    return checks


def _check_gaze(copy: Copy) -> list[Check]:
    if copy.fixations is None or not copy.images:
        return []
    missing = sorted(copy.stimuli - copy.images.keys())
    odd = [
        f"{stem}: {found[0]} x {found[1]} px, gaze says {said[0]} x {said[1]}"
        for stem, said in _said_sizes(copy).items()
        if (found := copy.sizes.get(stem)) is not None and said not in (found, (1, 1))
    ]
    return [
        _none("images of all gaze are there", missing, "an image of each stimulus"),
        _none("image sizes are those of the gaze", odd, "the same"),
    ]


def _said_sizes(copy: Copy) -> dict[str, tuple[int, int]]:
    assert copy.fixations is not None
    known = copy.fixations.dropna(subset=["stimulus", "image_width", "image_height"])
    first = known.groupby(known["stimulus"].map(image_stem))[
        ["image_width", "image_height"]
    ].first()
    return {str(stem): (int(w), int(h)) for stem, w, h in first.itertuples()}


def _check_split(copy: Copy, split: Split) -> list[Check]:
    title = f"split {split.name}"
    files = {part: copy.root / path for part, path in split.lists.items()}
    absent = [path.name for path in files.values() if not path.is_file()]
    if absent:
        name, advice = f"{title}: lists are there", split.about
        return [Check(name, False, f"no {', '.join(absent)}", "all", advice)]
    listed = {part: set(read_lists([path])) for part, path in files.items()}
    counts = {part: len(names) for part, names in listed.items()}
    times = Counter(name for names in listed.values() for name in names)
    twice = sorted(name for name, count in times.items() if count > 1)
    checks = [_none(f"{title}: no image in two lists", twice, "none")]
    if split.counts is not None:
        wanted = dict(split.counts)
        checks.append(Check(f"{title}: counts", counts == wanted, str(counts), str(wanted)))
    if copy.images:
        strangers = sorted(set().union(*listed.values()) - copy.images.keys())
        checks.append(_none(f"{title}: images are there", strangers, "every listed image"))
    return [*checks, *_check_parted(copy, split, listed)]


def _check_parted(copy: Copy, split: Split, listed: dict[str, set[str]]) -> list[Check]:
    """Look for near-duplicates, and for what a pattern ties, on two sides of a split."""
    names = sorted(copy.hashes)
    if not names:
        return []
    of = {name: part for part, those in listed.items() for name in those}
    hashes = np.stack([copy.hashes[name] for name in names])
    groups = group_images(names, hashes, SplitSpec(group_by=split.group_by or None))
    parted = parted_groups(names, groups, [of.get(name, "none") for name in names])
    return [_none(f"split {split.name}: near-duplicates stay together", parted, "none parted")]


def _check_reference(copy: Copy, reference: Reference) -> Check:
    measure = reference.measure
    if measure not in MEASURES:
        raise ConfigError(
            f"{copy.definition.name}: reference {measure!r} is unknown; expected one of "
            f"{', '.join(MEASURES)}"
        )
    near = f" ± {reference.within:g}" if reference.within else ""
    expected = f"{_number(reference.value)}{near}" + (
        f" ({reference.source})" if reference.source else ""
    )
    if measure in OF_GAZE and copy.fixations is None:
        return Check(measure, False, "no gaze", expected)
    if measure in OF_MASKS and not copy.masks:
        return Check(measure, False, "no masks", expected)
    found = MEASURES[measure](copy)
    passed = abs(found - reference.value) <= reference.within + 1e-9
    advice = "" if passed else _advice(copy, reference)
    return Check(measure, bool(passed), _number(found), expected, advice)


def _advice(copy: Copy, reference: Reference) -> str:
    """Try what people mix up: px and shares of the image, x and y."""
    table, about = copy.fixations, copy.definition.gaze_table
    if table is None or about is None:
        return ""
    if reference.measure == "on_image_share":
        return f"are its positions something else than {about.space}?"
    if reference.measure != "in_mask_share":
        return ""
    width, height = (table[name].astype("float64") for name in ("image_width", "image_height"))
    swapped = table.assign(x_im=table["y_im"] / height * width, y_im=table["x_im"] / width * height)
    near = abs(inside_masks(copy, swapped) - reference.value) <= max(reference.within, 0.01)
    return "x and y are swapped" if near else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


def _none(name: str, wrong: Sequence[str], expected: str) -> Check:
    return Check(name, not wrong, _some(wrong) or "as expected", expected)


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{len(names)}: {shown}{' ...' if len(names) > most else ''}" if names else ""


def failed(checks: Iterable[Check]) -> list[Check]:
    """Return the checks that were not passed."""
    return [check for check in checks if not check.passed]


class ChecksFailed(FormatError):
    """A copy is not what its definition says; ``dataset.json`` tells each check."""


def expect_passed(name: str, checks: Sequence[Check]) -> None:
    """Refuse a copy that failed a check.

    Raises
    ------
    ChecksFailed
        It names the first.
    """
    if not checks:
        raise FormatError(
            f"{name}: its definition names neither files nor figures; nothing to check"
        )
    bad = failed(checks)
    if bad:
        first = bad[0]
        advice = dict.fromkeys(check.advice for check in bad if check.advice)
        why = "".join(f"; {one}" for one in advice)
        raise ChecksFailed(
            f"{name}: {len(bad)} of {len(checks)} checks failed, the first: {first.name}: found "
            f"{first.found}, expected {first.expected}{why}"
        )
