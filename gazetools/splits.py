"""Which image is for training, which for choosing, which for the final test.

Images that belong together must not be parted: near-duplicates, and whatever the user's
pattern ties (slices of a volume, visits of a patient). They are grouped first, and groups
are drawn.

Each group has its place in line by a hash of its name alone: images that come later move few of
those that are there, and a test image stays one.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError, FormatError
from gazetools.images import UInt8, image_stem
from gazetools.kernels import hashes as kernels

NAMES = ("train", "val", "test")
NEAR_DUPLICATE_BITS = 20
"""Images whose 256-bit difference hashes differ in at most this many bits are one group.

Kvasir-SEG's three known near-duplicate pairs differ in 1, 1 and 6 bits; of its other pairs
all but one differ in more than 30.
"""


@dataclass(frozen=True)
class SplitSpec:
    """How images are parted.

    Attributes
    ----------
    files : tuple of Path
        Lists of image names, one a line; each file's stem is train, val or test. Without
        any, groups are drawn. If train is listed and val is not, val is drawn from train.
    val, test : float
        Shares that are drawn.
    seed : int
    group_by : str or None
        Regular expression; images with an equal match (of group 1, if it has one) stay
        together.
    near_duplicate_bits : int
        Images whose difference hashes differ in at most this many bits stay together;
        -1 looks for no near-duplicates.
    """

    files: tuple[Path, ...] = ()
    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    group_by: str | None = None
    near_duplicate_bits: int = NEAR_DUPLICATE_BITS

    def __post_init__(self) -> None:
        if not (0 <= self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise ConfigError(f"shares val={self.val}, test={self.test}; expected a sum below 1")
        for file in self.files:
            if file.stem not in NAMES:
                raise ConfigError(f"{file}: split files are named {', '.join(NAMES)} (any suffix)")
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            raise ConfigError(
                f"group pattern {self.group_by!r} is no regular expression ({error})"
            ) from error


def difference_hash(image: UInt8) -> npt.NDArray[np.uint8]:
    """Hash an RGB image so that near-duplicates differ in few bits: 32 bytes.

    Bits say whether brightness falls from left to right on a 16 x 17 grid (Krawetz,
    "Kind of like that", 2013).
    """
    grey = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA
    )
    return np.packbits(grey[:, 1:] > grey[:, :-1])


def group_images(
    names: Sequence[str], hashes: npt.NDArray[np.uint8], spec: SplitSpec
) -> npt.NDArray[np.int64]:
    """Find the groups of images that must stay together.

    Parameters
    ----------
    names : sequence of n str
    hashes : ndarray of uint8, shape (n, 32)

    Returns
    -------
    ndarray of int64, shape (n,)
        Position of the first member of each image's group.

    Raises
    ------
    ConfigError
        The pattern of `spec` matches no name at all.
    """
    parent = np.arange(len(names))
    if spec.near_duplicate_bits >= 0:
        words = np.ascontiguousarray(np.ascontiguousarray(hashes).view(np.uint64).T)
        kernels.join_near(words, spec.near_duplicate_bits, parent)
    if spec.group_by is not None:
        _join_by_pattern(parent, names, spec.group_by)
    return np.array([kernels.root_of(parent, i) for i in range(len(names))], np.int64)


def _join_by_pattern(parent: npt.NDArray[np.int64], names: Sequence[str], pattern: str) -> None:
    first_of: dict[str, int] = {}
    for i, name in enumerate(names):
        match = re.search(pattern, name)
        key = match and match.group(1 if match.re.groups else 0)
        if key is not None:
            kernels.join(parent, i, first_of.setdefault(key, i))
    if not first_of:
        raise ConfigError(
            f"group pattern {pattern!r} matches no name, such as {names[0]!r}; nothing would be "
            "kept together"
        )


def parted_groups(
    names: Sequence[str], group: npt.NDArray[np.int64], splits: Sequence[str]
) -> list[str]:
    """Name the first image of each group whose members are in more than one split.

    Drawn splits never part a group; given lists may.
    """
    of_group: dict[int, set[str]] = {}
    for number, split in zip(group.tolist(), splits, strict=True):
        if split in NAMES:
            of_group.setdefault(number, set()).add(split)
    return [names[number] for number, found in of_group.items() if len(found) > 1]


def assign(names: Sequence[str], group: npt.NDArray[np.int64], spec: SplitSpec) -> list[str]:
    """Give every image its split: train, val, test, or "none" if no given file lists it.

    What is drawn depends on names and groups alone. One image more moves a handful of others,
    or about as many as a few of the largest groups hold.

    Raises
    ------
    ConfigError
        A name is listed in two files.
    """
    if not spec.files:
        splits = np.full(len(names), "train", dtype="<U5")
        _draw(splits, names, group, "test", spec.test * len(names), spec.seed)
        _draw(splits, names, group, "val", spec.val * len(names), spec.seed)
        return [str(split) for split in splits]
    listed = read_lists(spec.files)
    splits = np.array([listed.get(name, "none") for name in names], dtype="<U5")
    if "train" in splits and "val" not in {file.stem for file in spec.files}:
        wanted = spec.val * int((splits == "train").sum())
        _draw(splits, names, group, "val", wanted, spec.seed)
    return [str(split) for split in splits]


def _draw(
    splits: npt.NDArray[np.str_],
    names: Sequence[str],
    group: npt.NDArray[np.int64],
    name: str,
    wanted: float,
    seed: int,
) -> None:
    """Move whole groups from train to `name` until it holds about `wanted` images.

    Groups stand in line by a hash of seed, split and the name of their first member. A group
    with a member outside train stays where it is: drawing it would part it. So does one too
    large for what is still wanted.
    """

    def place(first: int) -> bytes:
        label = f"{seed} {name} {names[first]}"
        return hashlib.sha256(label.encode(errors="surrogatepass")).digest()

    outside = set(group[splits != "train"].tolist())
    size = np.bincount(group)
    drawn, missing = [], wanted
    for chosen in sorted(set(group.tolist()) - outside, key=place):
        if size[chosen] / 2 <= missing:
            drawn.append(chosen)
            missing -= size[chosen]
    splits[np.isin(group, drawn)] = name


def read_lists(files: Sequence[Path]) -> Mapping[str, str]:
    """Read split files into a mapping of image name, without suffix, to split.

    Raises
    ------
    FormatError
        A file is missing.
    ConfigError
        A name is listed in two files.
    """
    listed: dict[str, str] = {}
    for file in files:
        if not file.is_file():
            raise FormatError(f"{file}: no such split file")
        for line in _read_text(file).splitlines():
            name = line.strip()
            if not name:
                continue
            name = image_stem(name)
            if listed.setdefault(name, file.stem) != file.stem:
                raise ConfigError(
                    f"{file}: {name!r} is also listed in {listed[name]}; an image belongs to one "
                    "split, remove it from the other"
                )
    return listed


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # Windows editors mark UTF-8
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: cannot be read as a UTF-8 list of names ({error})") from error
