"""Who may know whom: the floors of the house, checked through the imports of every file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"gazetools": "gazetools", "gradtrack_model": "gradtrack_model", "cli": "gazetools_cli"}

FLOORS = (
    {"errors"},
    {"files", "progress", "settings", "workers"},
    {"tables", "geometry", "images", "kernels", "timeline"},
    {"trials"},
    {
        "readers",
        "events",
        "tracks",
        "maps",
        "crf",
        "grabcut",
        "masks",
        "cache",
        "splits",
        "synthetic",
        "curation",
    },
    {"placing", "identity"},
    {"ingestion", "exporting", "rendering", "figures", "inspection", "reporting"},
    {"quality", "describing", "plotting", "viewing"},
    {"text", "datasets"},
)
"""Parts of gazetools; each knows the floors below its own, and those named in SIDEWAYS."""

SIDEWAYS = {
    ("maps", "tracks"),
    ("grabcut", "maps"),
    ("masks", "maps"),
    ("masks", "crf"),
    ("masks", "grabcut"),
    ("figures", "rendering"),
}

FORBIDDEN = (
    # these parts          may not import
    ("gazetools", {"torch", "click", "rich", "gradtrack_model", "gazetools_cli"}),
    ("gradtrack_model", {"click", "rich", "gazetools_cli", "pandas", "numba"}),
    ("gazetools.kernels", {"pandas", "pyarrow", "h5py", "cv2", "scipy"}),
    ("gazetools.readers", {"gazetools.events", "numba", "h5py", "cv2"}),
    ("gazetools.maps", {"h5py", "hdf5plugin", "gazetools.cache"}),
    ("gazetools.cache", {"numba", "gazetools.maps"}),
)

MODEL_SEES = {"cache", "tables", "files", "errors", "images", "workers"}


def module_of(path: Path) -> str:
    top, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([PACKAGES[top], *(part for part in rest if part != "__init__")])


MODULES = {module_of(p): p for top in PACKAGES for p in sorted((ROOT / top).rglob("*.py"))}


def imports(module: str, *, at_once: bool = False) -> set[str]:
    """Every module that a file imports, wherever in it; `at_once`: when it is imported."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = _at_once(tree) if at_once else ast.walk(tree)
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            above = ".".join(parents) if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def _at_once(node: ast.AST):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_once(child)


def is_part(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def part_of(module: str) -> str | None:
    """The part of gazetools that a module belongs to; None for others and for the package."""
    names = module.split(".")
    return names[1] if names[0] == "gazetools" and len(names) > 1 else None


PARTS = {part_of(module) for module in MODULES} - {None}
FLOOR = {part: number for number, floor in enumerate(FLOORS) for part in floor}


def test_every_part_has_a_floor():
    assert set(FLOOR) == PARTS


@pytest.mark.parametrize("module", sorted(m for m in MODULES if part_of(m)))
def test_a_part_knows_only_the_floors_below(module):
    own = part_of(module)
    for other in {part_of(name) for name in imports(module)} & PARTS - {own}:
        assert FLOOR[other] < FLOOR[own] or (own, other) in SIDEWAYS, f"{module} imports {other}"


@pytest.mark.parametrize(("package", "strangers"), FORBIDDEN, ids=[row[0] for row in FORBIDDEN])
def test_who_may_not_know_whom(package, strangers):
    for module in MODULES:
        if is_part(module, package):
            known = {s for s in strangers for name in imports(module) if is_part(name, s)}
            assert not known, f"{module} imports {', '.join(sorted(known))}"


def test_kernels_know_numpy_and_numba_only():
    for module in MODULES:
        if is_part(module, "gazetools.kernels"):
            tops = {name.split(".")[0] for name in imports(module)} - set(sys.stdlib_module_names)
            assert tops <= {"numpy", "numba", "gazetools"}, module
            ours = {name for name in imports(module) if is_part(name, "gazetools")}
            assert all(is_part(name, "gazetools.kernels") for name in ours), module


def test_only_kernels_are_compiled():
    for module in MODULES:
        if "numba" in {name.split(".")[0] for name in imports(module)}:
            assert is_part(module, "gazetools.kernels"), module


def test_the_model_sees_little_of_gazetools():
    for module in MODULES:
        if is_part(module, "gradtrack_model"):
            seen = {part_of(name) for name in imports(module)} & PARTS
            assert seen <= MODEL_SEES, f"{module} imports {', '.join(sorted(seen - MODEL_SEES))}"


def test_the_model_makes_no_cache():
    """What it needs of it is there to be read."""
    for module in MODULES:
        if is_part(module, "gradtrack_model"):
            assert "gazetools.cache.create_cache" not in imports(module), module


@pytest.mark.parametrize("module", sorted(m for m in MODULES if is_part(m, "gazetools_cli")))
def test_command_lines_load_nothing_heavy_at_once(module):
    light = set(sys.stdlib_module_names) | {"click", "gazetools_cli"}
    for name in imports(module, at_once=True):
        assert name.split(".")[0] in light or is_part(name, "gazetools.errors"), name


@pytest.mark.parametrize(
    "imported", ["gazetools", "gazetools_cli.gazetools", "gazetools_cli.gradtrack"]
)
def test_importing_is_light(imported):
    code = f"import sys, {imported}; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"numpy", "pandas", "pyarrow", "numba", "cv2", "scipy", "h5py", "torch", "rich"}
    assert not heavy & set(done.stdout.split())
