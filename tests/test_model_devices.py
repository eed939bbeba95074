"""What a run does on a device other than the processor, as far as it can be told without one."""

import subprocess
import sys
from pathlib import Path

from fake_gpu import RUNS
from model_cache import make_cache


def test_steps_stay_on_their_device_and_wait_for_no_value(tmp_path):
    """In a process of its own, for PyTorch can take in only one device of our making."""
    cache = make_cache(tmp_path / "maps.h5", side=64)
    program = Path(__file__).with_name("fake_gpu.py")
    done = subprocess.run(
        [sys.executable, program, cache], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(settings) for settings in RUNS]
