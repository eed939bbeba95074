"""GradTrack: segmentation networks that learn from where clinicians looked.

`evaluate` and `predict` are both modules and functions: import the functions as
``from gradtrack_model.evaluate import evaluate``.
"""

import os
from importlib import import_module
from typing import Any

# Read when torch is loaded. GNU OpenMP lets waiting threads spin for milliseconds, and beside any
# other work on two cores training then takes up to five times as long; never to spin costs a third
# of the speed on an idle machine. This short while costs almost nothing in either case.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

_HOMES = {
    "METHODS": "methods",
    "PRESETS": "config",
    "CacheDataset": "data",
    "TrainConfig": "config",
    "default_preset": "config",
    "fit": "train",
}

__all__ = ["METHODS", "PRESETS", "CacheDataset", "TrainConfig", "default_preset", "fit"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only for those who need it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
