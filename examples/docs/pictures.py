"""The pictures of the site, drawn by the tool itself from a synthetic cohort."""

import tempfile
from pathlib import Path

from gazetools import RenderSpec, SplitSpec, render
from gazetools.ingestion import ingest_to
from gazetools.plotting import (
    FigureSpec,
    draw_durations,
    draw_heatmap,
    draw_levels,
    draw_main_sequence,
    stimulus_in_cache,
)
from gazetools.synthetic import CohortSpec, write_cohort

SCREEN = {"dpi": 150}


def draw_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        cohort = write_cohort(Path(made) / "lab", CohortSpec(images=2))
        lab = cohort.folder
        fixations, saccades, maps = (
            lab / name for name in ("fixations.parquet", "saccades.parquet", "maps.h5")
        )
        ingest_to([cohort.export], fixations, saccades=saccades)
        draw_durations(fixations, folder / "durations.svg")
        draw_main_sequence(saccades, folder / "main_sequence.svg")
        render(fixations, cohort.images, None, maps, RenderSpec(split=SplitSpec(val=0, test=0)))
        shown = stimulus_in_cache(maps, "synthetic_0002")
        draw_heatmap(shown, folder / "heatmap.png", FigureSpec(110, **SCREEN))
        draw_levels(shown, folder / "levels.png", FigureSpec(183, **SCREEN))
