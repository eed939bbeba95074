"""A folder that Hugging Face's `datasets` loads; nothing is uploaded.

::

    README.md                          the data card, for people and, in its YAML, for the hub
    CITATION.cff                       where a citation and creators are given
    data/fixations/train.parquet       one configuration for each table, one file for each split
    data/fixations/validation.parquet
    data/images/train.parquet          only if asked for: the files' bytes, by stimulus

``load_dataset(folder)`` loads the fixations, ``load_dataset(folder, "samples")`` the samples.
Without lists of names all is in the split "train". Images, and masks, are those of the stimuli
in the tables and no others. Their files are embedded byte for byte, with whatever their makers
wrote into them; the card says so. A stimulus on which no fixation has a position on an image, a
calibration or a cross, needs neither image nor list; what of it is left out is counted.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gazetools.errors import ConfigError, FormatError, SchemaError
from gazetools.exporting.about import About
from gazetools.exporting.data_card import Part, citation_file, data_card
from gazetools.exporting.declared import embedded, write_declared
from gazetools.exporting.exported import Exported, LeftOut, undeclared
from gazetools.exporting.folders import listed_folder
from gazetools.exporting.parting import check_lists, no_images, split_of
from gazetools.exporting.reading import Tables
from gazetools.images import decode_image, decode_mask, file_content, image_stem, list_images

SPLITS = {"train": "train", "val": "validation", "test": "test"}
_IMAGES_AT_ONCE = 50


@dataclass(frozen=True)
class HuggingFaceSpec:
    """What goes into the folder beside the tables.

    Attributes
    ----------
    about : About
    splits : tuple of Path
        Lists of names, train.txt, val.txt, test.txt.
    images, masks : Path or None
        Folders; what is not named here is not exported. An image may have no mask.
    """

    about: About = field(default_factory=About)
    splits: tuple[Path, ...] = ()
    images: Path | None = None
    masks: Path | None = None

    def __post_init__(self) -> None:
        if self.masks is not None and self.images is None:
            raise ConfigError("masks without images; name the folder of images too")
        if self.about.citations and not self.about.creators:
            raise ConfigError(
                "CITATION.cff names its authors; say who made the data set with --set creators=..."
            )
        check_lists(self.splits)


def export_hugging_face(
    tables: Tables, out: Path, spec: HuggingFaceSpec | None = None, *, overwrite: bool = False
) -> Exported:
    """Write tables, and images if asked for, as a new folder.

    Raises
    ------
    SchemaError
        No table has rows, or an image was looked at that is in no list.
    FormatError
        A stimulus that is an image has none, or an image or mask cannot be read.
    OutputError
        The folder exists, is not as we wrote it if it is to be replaced, or cannot be written.
    """
    spec = spec or HuggingFaceSpec()
    given = list(tables.given())
    if not given:
        raise SchemaError("no table has rows; there is nothing to export")
    parts: list[Part] = []
    left_out: list[LeftOut] = []
    with listed_folder(out, overwrite=overwrite) as folder:
        may_lack = no_images(tables)
        for schema, table in given:
            split = split_of(table["stimulus"], spec.splits, may_lack)
            if nowhere := int(split.isna().sum()):
                left_out.append(LeftOut(nowhere, schema.name, "on no image, so in no split"))
            left_out += undeclared(table, schema)
            for name, rows in _by_split(table, split):
                write_declared(rows, _path_of(folder, schema.name, name), schema)
                parts.append(Part(schema.name, name, len(rows)))
        if not parts:
            raise SchemaError("no row is on an image, so none is in a split; export without lists")
        if spec.images is not None:
            images, without = _write_images(tables, spec, may_lack, folder)
            parts += images
            left_out += without
        files = len(parts) + _write_texts(tables, spec, parts, folder)
    written: Counter[str] = Counter()
    for part in parts:
        written[part.table] += part.rows
    return Exported(files, written, tuple(left_out))


def _by_split(table: pd.DataFrame, split: pd.Series) -> Iterator[tuple[str, pd.DataFrame]]:
    for ours, theirs in SPLITS.items():
        rows = table[split == ours]
        if len(rows):
            yield theirs, rows


def _path_of(folder: Path, table: str, split: str) -> Path:
    path = folder / "data" / table / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_texts(tables: Tables, spec: HuggingFaceSpec, parts: list[Part], folder: Path) -> int:
    card = data_card(tables, spec.about, parts, has_masks=spec.masks is not None)
    texts = {"README.md": card}
    if spec.about.citations:
        texts["CITATION.cff"] = citation_file(spec.about)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    return len(texts)


# ---------------------------------------------------------------- images


def _write_images(
    tables: Tables, spec: HuggingFaceSpec, may_lack: Collection[str], folder: Path
) -> tuple[list[Part], list[LeftOut]]:
    """Write the images of stimuli; returns what was written, and what was not."""
    assert spec.images is not None
    stimuli = pd.concat([table["stimulus"] for _, table in tables.given()]).dropna()
    stimuli = stimuli.drop_duplicates().sort_values(ignore_index=True)
    image_of = list_images(spec.images)
    mask_of = list_images(spec.masks) if spec.masks is not None else None
    found = stimuli.map(lambda name: image_stem(name) in image_of).astype("bool")
    lost = stimuli[~found & ~stimuli.isin(may_lack)].tolist()
    if lost:
        raise FormatError(
            f"{spec.images}: no image of stimulus {lost[0]!r} ({len(lost)} of {len(stimuli)} "
            "have none); add it, or export without images"
        )
    parts = []
    rows = pd.DataFrame({"stimulus": stimuli[found]})
    split = split_of(rows["stimulus"], spec.splits, may_lack)
    for name, part in _by_split(rows, split):
        _write_embedded(part["stimulus"], image_of, mask_of, _path_of(folder, "images", name))
        parts.append(Part("images", name, len(part)))
    without = ((~found, "without an image"), (split.isna(), "no fixation on it, and in no list"))
    return parts, [
        LeftOut(int(which.sum()), "stimuli", why) for which, why in without if which.any()
    ]


def _write_embedded(
    stimuli: pd.Series,
    image_of: Mapping[str, Path],
    mask_of: Mapping[str, Path] | None,
    path: Path,
) -> None:
    """Write files of images, and masks, into a Parquet file, a few at a time."""
    file = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [pa.field("stimulus", pa.string()), pa.field("image", file)]
    features: dict[str, Any] = {
        "stimulus": {"dtype": "string", "_type": "Value"},
        "image": {"_type": "Image"},
    }
    if mask_of is not None:
        fields.append(pa.field("mask", file))
        features["mask"] = {"_type": "Image"}
    schema = pa.schema(fields, metadata=embedded(features))
    names = stimuli.tolist()
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for begin in range(0, len(names), _IMAGES_AT_ONCE):
            some = names[begin : begin + _IMAGES_AT_ONCE]
            rows = [_embedded_row(name, image_of, mask_of) for name in some]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _embedded_row(
    stimulus: str, image_of: Mapping[str, Path], mask_of: Mapping[str, Path] | None
) -> dict[str, Any]:
    image = image_of[image_stem(stimulus)]
    content = file_content(image)
    decode_image(content, image)  # what cannot be read is found here, not by whoever loads it
    row: dict[str, Any] = {"stimulus": stimulus, "image": {"bytes": content, "path": image.name}}
    mask = mask_of.get(image_stem(stimulus)) if mask_of is not None else None
    if mask is not None:
        content = file_content(mask)
        decode_mask(content, mask)
        row["mask"] = {"bytes": content, "path": mask.name}
    return row
