"""Where a split is held: on the device, in main memory, or nowhere but in its file."""

import os
from pathlib import Path
from typing import Literal

import torch

Source = Literal["device", "memory", "file"]
"""Where batches are taken from."""

DEVICE_SHARE, MEMORY_SHARE = 0.25, 0.5
"""What may be taken of the free memory; on the device the network needs most of it."""

_UNKNOWN = 4 << 30  # where the system does not tell


def choose_source(needed: int, limit: float, device: torch.device) -> Source:
    """Return the fastest place that has room for `needed` bytes, of which `limit` may be taken."""
    if needed > limit:
        return "file"
    if device.type != "cpu" and needed <= DEVICE_SHARE * free_on_device(device):
        return "device"
    return "memory" if needed <= MEMORY_SHARE * free_memory() else "file"


def free_on_device(device: torch.device) -> int:
    """Return the free bytes of a CUDA device; 0 for others, which do not tell."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of main memory that can be taken without swapping.

    On Linux what the kernel estimates, or what the control groups of this process (a container,
    a batch job) leave if that is less. Elsewhere half of the memory, or 4 GiB if unknown.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return _half_of_all()
    in_kb = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
    }
    return min([in_kb["MemAvailable"] * 1024, *_left_by_groups(root)])


def _half_of_all() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def _left_by_groups(root: Path) -> list[int]:
    """Bytes left by each control group (version 2) around this process that has a limit."""
    mount = root / "sys/fs/cgroup"
    try:
        own = (root / "proc/self/cgroup").read_text().partition("0::/")[2].partition("\n")[0]
    except OSError:
        return []
    left = []
    for name in (own, *map(str, Path(own).parents)):
        try:
            limit, used = ((mount / name / f"memory.{n}").read_text() for n in ("max", "current"))
            stat = (mount / name / "memory.stat").read_text().split()
        except OSError:  # the group is not to be seen from inside a container
            continue
        if limit.strip() != "max":
            cached = int(stat[stat.index("inactive_file") + 1])  # given back when it is needed
            left.append(max(0, int(limit) - int(used) + cached))
    return left
