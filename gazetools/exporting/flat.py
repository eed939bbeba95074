"""One table to one file: CSV, or a fixation report."""

from pathlib import Path

import pandas as pd

from gazetools.errors import GeometryError, SchemaError
from gazetools.exporting.cells import clean, text, tsv
from gazetools.exporting.exported import Exported, beside_fixations
from gazetools.exporting.reading import Tables
from gazetools.files import replacing


def export_csv(tables: Tables, out: Path, *, overwrite: bool = False) -> Exported:
    """Write the only table as CSV, with all of its columns.

    Raises
    ------
    SchemaError
        There is more than one table.
    OutputError
        The file exists, or cannot be written.
    """
    given = list(tables.given())
    if len(given) != 1:
        raise SchemaError(f"{out}: {len(given)} tables with rows, expected one; name one table")
    ((schema, table),) = given
    with replacing(out, overwrite=overwrite) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return Exported(1, {schema.name: len(table)})


def export_report(tables: Tables, out: Path, *, overwrite: bool = False) -> Exported:
    """Write the fixations as a report in the manner of EyeLink Data Viewer.

    Raises
    ------
    GeometryError
        No fixation has a position on the screen.
    SchemaError
        Two recordings would get one label.
    OutputError
        The file exists, or cannot be written.
    """
    content = fixation_report(tables.fixations)
    with replacing(out, overwrite=overwrite) as temporary:
        temporary.write_bytes(tsv(content, header=True, null="."))
    return Exported(1, {"fixations": len(content)}, tuple(beside_fixations(tables)))


def fixation_report(fixations: pd.DataFrame) -> pd.DataFrame:
    """Return a fixation report of text cells, null for missing.

    Parameters
    ----------
    fixations : DataFrame
        A FIXATIONS table.

    Raises
    ------
    GeometryError
        No fixation has a position on the screen.
    SchemaError
        Two recordings would get one label.
    """
    if not fixations["x_px"].notna().any():
        raise GeometryError(
            "no fixation has a position on the screen, which a report needs; "
            "export to csv, which has positions on the image too"
        )
    onset, duration = fixations["onset_ms"].round(3), fixations["duration_ms"].round(3)
    return pd.DataFrame(
        {
            "RECORDING_SESSION_LABEL": _sessions(fixations),
            "TRIAL_INDEX": fixations["trial"].astype("str"),
            "IMAGE": clean(fixations["stimulus"]),
            "CURRENT_FIX_INDEX": fixations["order"].astype("str"),
            "CURRENT_FIX_START": text(onset),
            "CURRENT_FIX_END": text((onset + duration - 1).round(3)),
            "CURRENT_FIX_DURATION": text(duration),
            "CURRENT_FIX_X": text(fixations["x_px"]),
            "CURRENT_FIX_Y": text(fixations["y_px"]),
        }
    )


def _sessions(fixations: pd.DataFrame) -> pd.Series:
    """Label the recordings: by their subject, and where it has several by both names."""
    recordings = fixations.groupby("subject")["recording"].nunique()
    alone = fixations["subject"].map(recordings) == 1
    both = fixations["subject"] + "_" + fixations["recording"]
    label = clean(fixations["subject"].where(alone, both)).fillna(".")
    who = fixations[["subject", "recording"]].assign(label=label).drop_duplicates()
    again = who["label"].duplicated()
    if again.any():
        one, other = who[who["label"] == who["label"][again].iloc[0]].iloc[:2].to_dict("records")
        raise SchemaError(
            f"recordings {one['recording']!r} of {one['subject']!r} and {other['recording']!r} of "
            f"{other['subject']!r} would both be {one['label']!r} in a report; rename one of them"
        )
    return label
