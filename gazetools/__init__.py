"""gazetools: raw eye-tracker exports to fixations, track levels, distance maps and caches.

The public names are loaded when they are first used, so that importing the package, and
every ``--help``, is instant.
"""

import os
from importlib import import_module
from typing import Any

# OpenCV reads this once, when it is loaded; whoever needs more sets it in the environment
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(120_000_000))
# what is wrong with an image is said by our errors, in one line
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

_HOME = {
    "FIXATIONS": "tables",
    "SAMPLES": "tables",
    "Cache": "cache",
    "CrfSpec": "crf",
    "GazeToolsError": "errors",
    "IngestSpec": "ingestion",
    "MapSpec": "maps",
    "PseudoMaskSpec": "masks",
    "RenderSpec": "rendering",
    "SplitSpec": "splits",
    "Track": "maps",
    "TrackSpec": "tracks",
    "Workers": "workers",
    "detect": "events",
    "heatmap": "maps",
    "ingest": "ingestion",
    "ingest_to": "ingestion",
    "merge": "rendering",
    "level_counts": "tracks",
    "open_cache": "cache",
    "pseudo_mask": "masks",
    "read": "readers",
    "read_table": "tables",
    "render": "rendering",
    "track_maps": "maps",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("gazetools")
    if name not in _HOME:
        raise AttributeError(f"module 'gazetools' has no attribute {name!r}")
    return getattr(import_module(f"gazetools.{_HOME[name]}"), name)
