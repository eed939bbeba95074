"""The README: its commands run as printed, its Python runs, its claims are true."""

import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gazetools.readers import READERS
from gazetools.synthetic import CohortSpec, write_cohort

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = ROOT / "examples" / "docs" / "guides"
SMALL = CohortSpec(images=20, width_px=150, height_px=130, fixations=8, calibration_s=1)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(block: str) -> list[str]:
    return [line.split("#")[0].strip() for line in block.splitlines() if line.split("#")[0].strip()]


def run(command: str, folder: Path) -> str:
    name, *arguments = shlex.split(command)
    program = Path(sysconfig.get_path("scripts")) / name
    done = subprocess.run(
        [sys.executable, program, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder as a lab has it: an export and images, and masks for the evaluation."""
    return write_cohort(tmp_path_factory.mktemp("lab") / "lab", SMALL).folder


@pytest.mark.slow
def test_three_commands_and_what_follows(lab):
    ingest, render, train = commands(blocks("sh")[2])
    assert ingest == "gazetools ingest tobii_export.tsv"
    assert render == "gazetools render --levels 4"
    assert train == "gradtrack-train --cache maps.h5"
    assert "fixations on 20 images" in run(ingest, lab)
    assert "20 images, 4 levels" in run(render, lab)
    # typed just so it trains for minutes: the same command, made short
    assert "iterations" in run(f"{train} --preset tiny --iterations 4", lab)
    (trained,) = (lab / "runs").iterdir()
    (lab / "images").rename(lab / "new_images")
    evaluate, predict = (
        command.replace("<time>", trained.name) for command in commands(blocks("sh")[3])
    )
    assert "Dice" in run(evaluate, lab)
    run(predict, lab)
    assert len(list((lab / "predicted").glob("*.png"))) == SMALL.images
    (lab / "new_images").rename(lab / "images")


@pytest.mark.slow
def test_gaze_and_language(lab):
    """In the folder of before; what trains for minutes is made short."""
    (block,) = blocks("sh", (GUIDES / "gaze_and_language.md").read_text(encoding="utf-8"))
    describe, render, encode, train = commands(block)
    assert "20 images" in run(describe, lab)
    assert "20 images, 4 levels" in run(f"{render} --near-duplicates -1", lab)
    assert "tokens of 384 values" in run(encode, lab)
    assert "fgi, 2 iterations" in run(f"{train} --preset tiny --iterations 2 -o runs/fgi", lab)
    assert "Dice" in run("gradtrack-evaluate runs/fgi", lab)


@pytest.mark.slow
def test_python_examples_run(lab, monkeypatch, capsys):
    """In the folder of before."""
    monkeypatch.chdir(lab)
    steps, dataset = blocks("python")
    exec(compile(steps, "README.md", "exec"), {})
    assert "mean" in capsys.readouterr().out
    names = {}
    exec(compile(dataset, "README.md", "exec"), names)
    assert len(names["sample"]["maps"]) == 4
    assert set(names["sample"]) == {"name", "item", "image", "maps", "pseudo_mask"}


@pytest.mark.slow
def test_demo_prints_three_dice_and_writes_a_page(tmp_path):
    out = run("gazetools demo -o demo --images 20 --iterations 3", tmp_path)
    table = out[out.index("Dice on") :]
    scores = [float(number) for number in re.findall(r" (\d\.\d{3}) ", table)]
    assert len(scores) == 3
    assert all(0 <= score <= 1 for score in scores)
    page = (tmp_path / "demo" / "results.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in page


def test_every_reader_has_a_row():
    assert all(f"`{reader.name}`" in README for reader in READERS)


def test_every_command_occurs():
    from gazetools_cli.gazetools import main

    assert all(f"gazetools {name}" in README for name in main.commands)


def test_links_lead_to_files_and_their_sections():
    links = re.findall(r"\]\(([^)#:]+)#?([^)]*)\)", README)
    assert links
    for file, section in links:
        assert (ROOT / file).exists(), file
        if section:
            headings = re.findall(r"^#+ (.+)", (ROOT / file).read_text(encoding="utf-8"), re.M)
            assert section in {title.lower().replace(" ", "-") for title in headings}, section


def test_every_guide_is_linked_to():
    assert all(f"({guide.relative_to(ROOT)}" in README for guide in GUIDES.glob("*.md"))


def test_set_up_by_hand_is_what_make_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "torch==2.13.0" in makefile
    assert "torch==2.13.0" in pinned
    assert "torch==2.13.0" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
