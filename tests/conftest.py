"""What many tests share: the real data, where there is any, and a small synthetic cohort."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from gazetools.synthetic import Cohort, CohortSpec, write_cohort

# the same examples in every run: a failure is due to a change, not to luck
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

SMALL = CohortSpec(
    images=3, readers=2, width_px=160, height_px=120, fixations=8, calibration_s=1, break_s=0.6
)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real exports, images and masks; never part of the repository."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GAZETOOLS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set GAZETOOLS_DATA")
    return folder


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Three images, seen by two readers; tests only read it."""
    return write_cohort(tmp_path_factory.mktemp("cohort") / "lab", SMALL)
