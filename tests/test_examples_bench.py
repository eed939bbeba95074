"""The benchmarks of examples/ run, small, and tell what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("script", "options", "promised"),
    [
        ("bench_cache.py", "--items 4", ["codecs"]),
        ("bench_ingest.py", "--rows 3000 --all-columns", ["ratio", "ingest_peak_mb"]),
        (
            "bench_loader.py",
            "--items 6 --batches 2 --repeats 1 --batch-size 2",
            ["loader_samples_per_s", "file_to_rendered", "file_to_memmap"],
        ),
    ],
)
def test_it_tells_its_figures_as_json(script, options, promised):
    command = [sys.executable, EXAMPLES / script, *options.split(), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(promised) <= set(figures)


def test_rendering_tells_its_figures_as_json(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import bench_render

    monkeypatch.setattr(bench_render, "SECTIONS", (bench_render.speed, bench_render.accuracy))
    small = ["bench_render.py", "--images", "4", "--sample", "2", "--turns", "1", "--json"]
    monkeypatch.setattr(sys, "argv", small)
    bench_render.main()
    figures = json.loads(capsys.readouterr().out)
    assert {"ratio_scipy_per_core", "ns_per_pixel"} <= set(figures)
