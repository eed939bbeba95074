"""The log and what trackers are told."""

import sys
from types import SimpleNamespace

import pytest
from model_cache import make_cache

from gazetools.errors import ConfigError
from gradtrack_model import tracking
from gradtrack_model.config import PRESETS
from gradtrack_model.train import fit

CONFIG = PRESETS["tiny"].replace(iterations=6, val_every=2, save_every=2)


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


class Told:
    """A tracker that remembers."""

    def __init__(self, run_folder, config, iteration):
        self.began, self.points, self.closed = iteration, [], False
        Told.last = self

    def write(self, iteration, values):
        self.points.append((iteration, values))

    def close(self):
        self.closed = True


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setitem(tracking.TRACKERS, "math", Told)  # a name that can be imported
    return Told


def test_trackers_are_told_the_rows_of_the_log(cache_path, tmp_path, told):
    fit(CONFIG, cache_path, tmp_path / "run", trackers=["math"])
    assert [iteration for iteration, _ in told.last.points] == [2, 4, 6]
    assert told.last.closed
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    names, last = lines[0].split(","), lines[-1].split(",")
    expected = dict(zip(names, map(float, last), strict=True))
    assert {"iteration": 6.0, **told.last.points[-1][1]} == expected


def test_a_resumed_run_tells_from_where_it_goes_on(cache_path, tmp_path, told):
    def stop(progress):
        if progress.iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(CONFIG, cache_path, tmp_path / "run", trackers=["math"], progress=stop)
    assert told.last.closed
    fit(CONFIG, cache_path, tmp_path / "run", trackers=["math"], resume=True)
    assert told.last.began == 4
    assert [iteration for iteration, _ in told.last.points] == [6]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tensorboard_files_hold_the_curves(cache_path, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(CONFIG, cache_path, tmp_path / "run", trackers=["tensorboard"])
    curves = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    curves.Reload()
    assert {"loss", "lr", "score"} <= set(curves.Tags()["scalars"])
    assert [point.step for point in curves.Scalars("score")] == [2, 4, 6]


def test_wandb_and_mlflow_are_spoken_to_in_their_own_words(tmp_path, monkeypatch):
    said = []
    run = SimpleNamespace(
        log=lambda values, step: said.append(("wandb", values, step)),
        finish=lambda: said.append("finished"),
    )
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **_: run))
    flow = SimpleNamespace(
        start_run=lambda run_name: said.append(run_name),
        log_params=lambda values: said.append(values["seed"]),
        log_metrics=lambda values, step: said.append(("mlflow", values, step)),
        end_run=lambda: said.append("ended"),
    )
    monkeypatch.setitem(sys.modules, "mlflow", flow)
    with tracking.Trackers(["wandb", "mlflow"], tmp_path / "run", CONFIG, 0) as trackers:
        trackers.write({"iteration": 2, "loss": 1.5, "score": None})
    assert said == [
        *("run", 0),
        *(("wandb", {"loss": 1.5}, 2), ("mlflow", {"loss": 1.5}, 2)),
        *("finished", "ended"),
    ]


def test_a_tracker_that_cannot_be_is_refused_before_anything(cache_path, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="tracker 'paper': expected one of tensorboard, wandb"):
        fit(CONFIG, cache_path, tmp_path / "run", trackers=["paper"])
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="is not installed; run: pip install wandb"):
        fit(CONFIG, cache_path, tmp_path / "run", trackers=["wandb"])
    assert not (tmp_path / "run").exists()
