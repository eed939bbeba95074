"""What many tests share: the real data, where there is any, and a small synthetic cohort."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from twelve_images import write_twelve

from gazetools.synthetic import Cohort, CohortSpec, write_cohort

if "PYTEST_XDIST_WORKER" in os.environ:
    # torch's threads wait by spinning, and so would keep other workers from work
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# the same examples in every run: a failure is due to a change, not to luck
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

SMALL = CohortSpec(
    images=3, readers=2, width_px=160, height_px=120, fixations=8, calibration_s=1, break_s=0.6
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests, so that none is left for the end, and one processor."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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


@pytest.fixture(scope="session")
def twelve_images(tmp_path_factory, small_cohort):
    """Write twelve images, gaze on them, and two masks, once; not to be changed."""
    folder = tmp_path_factory.mktemp("twelve") / "lab"
    write_twelve(folder, small_cohort)
    return folder


@pytest.fixture
def twelve(tmp_path, twelve_images, monkeypatch):
    """Return a working folder of one's own that holds the twelve images."""
    folder = tmp_path / "lab"
    shutil.copytree(twelve_images, folder)
    monkeypatch.chdir(folder)
    return folder
