"""The whole way on synthetic data: a network that learned from gaze beats the gaze itself."""

from pathlib import Path

import pytest

from gazetools import IngestSpec, ingest
from gazetools.rendering import RenderSpec, render
from gazetools.splits import SplitSpec
from gazetools.synthetic import CohortSpec, write_cohort
from gazetools.tables import FIXATIONS, write_table
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.train import fit

QUICK = PRESETS["laptop"].replace(size_px=96, iterations=100, val_every=20, save_every=100)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return a folder with the cache of a simulated reader."""
    folder = tmp_path_factory.mktemp("lab")
    write_cohort(folder, CohortSpec(images=40, seed=1))
    found = ingest([folder / "tobii_export.tsv"], IngestSpec())
    write_table(found.fixations, folder / "fixations.parquet", FIXATIONS, provenance={})
    spec = RenderSpec(size_px=96, split=SplitSpec(test=0.25))
    pictures = (folder / "images", folder / "masks")
    render(folder / "fixations.parquet", *pictures, folder / "maps.h5", spec)
    return folder


@pytest.mark.slow
def test_a_network_that_learned_from_gaze_beats_gaze(lab: Path):
    fit(QUICK, lab / "maps.h5", lab / "run")
    report = evaluate(lab / "run")
    best = report.checkpoints[0]
    assert report.heatmap_n == best.n == 10
    assert best.dice_mean > report.heatmap_dice
