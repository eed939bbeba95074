"""Descriptions of images, encoded by a language model, into a cache.

The model comes from outside, behind :class:`TextEncoder`: nothing here knows torch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gazetools.cache import SPLITS, Item, Text, TextAbout, open_cache, put_text
from gazetools.describing.record import Description, read_descriptions
from gazetools.errors import CacheError, FormatError
from gazetools.files import check_output, check_unread, file_sha256

Values = TypeVar("Values", npt.NDArray[np.float16], npt.NDArray[np.bool_])

MAX_TOKENS = 128
"""Longer descriptions are cut off, unless told otherwise."""


class TextEncoder(Protocol):
    """A language model, see :class:`gradtrack_model.text_encoders.TransformersEncoder`.

    Attributes
    ----------
    name : str
    sha256 : str
        Of its weights.
    dims : int
        D, values of a token.
    """

    name: str
    sha256: str
    dims: int

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, were nothing cut off."""

    def encode(
        self, texts: Sequence[str], *, max_tokens: int
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
        """Return tokens of shape (N, T, D), and where there are any, of shape (N, T)."""


@dataclass(frozen=True)
class TextSummary:
    """What was encoded, and what was not.

    Attributes
    ----------
    encoder, encoder_sha256 : str
    tokens, dims : int
        T, the length of the longest text, and D.
    described : dict of str to int
        Items with a description, by split.
    undescribed : dict of str to list of str
        Items without one, by split; none of them is for training.
    not_in_cache : list of str
        Images that are described and not in the cache.
    cut_off : list of str
        Items whose description has more tokens than were asked for, or than the encoder takes.
    distinct : int
        Descriptions that differ in their words.
    writers : dict of str to int
        Descriptions by who wrote them.
    seen : tuple of str
        What the writers had before them.
    """

    encoder: str
    encoder_sha256: str
    tokens: int
    dims: int
    described: dict[str, int]
    undescribed: dict[str, list[str]]
    not_in_cache: list[str]
    cut_off: list[str]
    distinct: int
    writers: dict[str, int]
    seen: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)


def encode_text(
    descriptions: Path,
    cache: Path,
    out: Path,
    encoder: TextEncoder,
    *,
    max_tokens: int = MAX_TOKENS,
    overwrite: bool = False,
) -> TextSummary:
    """Encode the descriptions of a cache's items, and write the cache with them to `out`.

    Parameters
    ----------
    out : Path
        May be `cache`; then that file is replaced once the new one is whole.

    Raises
    ------
    FormatError
        A description is not what the format says, was written by somebody who had seen the mask,
        or is missing of an item that is to be trained on.
    CacheError
        The cache cannot be read, or is a folder.
    OutputError
        `out` is another file and exists, and `overwrite` is false; is `descriptions`; or it cannot
        be written.
    """
    check_unread(out, [descriptions])
    digest = file_sha256(descriptions)
    records = read_descriptions(descriptions)
    if file_sha256(descriptions) != digest:
        raise FormatError(f"{descriptions}: was changed while it was read; encode it again")
    _check_seen(records, descriptions)
    cache_sha256, items = _items(cache)
    described = [number for number, item in enumerate(items) if item.name in records]
    undescribed = _names_by_split(item for item in items if item.name not in records)
    _check_complete(described, undescribed, descriptions, cache)
    if out.resolve() != cache.resolve():
        check_output(out, overwrite=overwrite)
    used = [records[items[number].name] for number in described]
    tokens, mask, cut_off = _encoded(used, encoder, max_tokens)
    seen = tuple(sorted({sight for record in used for sight in record.seen}))
    about = TextAbout(encoder.name, encoder.sha256, digest, seen)
    text = Text(about, _spread(tokens, described, len(items)), _spread(mask, described, len(items)))
    put_text(cache, text, out, cache_sha256=cache_sha256, overwrite=overwrite)
    named = _names_by_split(items[number] for number in described)
    return TextSummary(
        encoder=encoder.name,
        encoder_sha256=encoder.sha256,
        tokens=tokens.shape[1],
        dims=tokens.shape[2],
        described={split: len(names) for split, names in named.items()},
        undescribed=undescribed,
        not_in_cache=sorted(set(records) - {item.name for item in items}),
        cut_off=cut_off,
        distinct=len({record.text() for record in used}),
        writers=dict(Counter(record.by for record in used)),
        seen=seen,
    )


def _check_seen(records: Mapping[str, Description], path: Path) -> None:
    leaks = [name for name, record in records.items() if "mask" in record.seen]
    if leaks:
        raise FormatError(
            f"{path}: whoever described {_some(leaks)} had seen its reference mask; a network that "
            "learns from such words learns from masks. Expected descriptions of images, with or "
            "without fixations; describe these images again"
        )


def _items(path: Path) -> tuple[str, tuple[Item, ...]]:
    """Return the digest of a cache, and its items."""
    if path.is_dir():
        raise CacheError(
            f"{path}: a folder of shards, text goes into one file; run: gazetools merge {path}"
        )
    with open_cache(path) as cache:
        return cache.sha256, cache.items


def _check_complete(
    described: Sequence[int], undescribed: Mapping[str, list[str]], path: Path, cache: Path
) -> None:
    """Refuse what leaves a training item without words."""
    without = undescribed.get("train", [])
    if without:
        raise FormatError(
            f"{path}: no description of {_some(without)}, for training in {cache}; expected one "
            "of each: describe them, too, or render the cache without them"
        )
    if not described:
        raise FormatError(
            f"{path}: describes no item of {cache}; expected the names of its images without "
            "suffix, is it the right file?"
        )


def _encoded(
    records: Sequence[Description], encoder: TextEncoder, max_tokens: int
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_], list[str]]:
    """Tokens, where there are any, and whose words were cut off."""
    texts = [record.text() for record in records]
    tokens, mask = encoder.encode(texts, max_tokens=max_tokens)
    lengths = zip(records, encoder.lengths(texts), mask.sum(axis=1).tolist(), strict=True)
    return tokens, mask, [record.image for record, whole, kept in lengths if whole > kept]


def _names_by_split(items: Iterable[Item]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    for item in items:
        names[item.split].append(item.name)
    return {split: those for split, those in names.items() if those}


def _spread(rows: Values, at: Sequence[int], count: int) -> Values:
    """Put rows where they belong among `count`; the others are zero."""
    all_rows = np.zeros((count, *rows.shape[1:]), rows.dtype)
    all_rows[at] = rows
    return all_rows


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
