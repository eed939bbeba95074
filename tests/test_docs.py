"""The documentation site: it builds without a warning, and what its tutorial says is true."""

import doctest
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from html.parser import HTMLParser
from importlib.metadata import distribution
from io import StringIO
from pathlib import Path
from urllib.parse import unquote, urldefrag

import click
import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from made_caches import random_record, random_text, write
from markdown_it import MarkdownIt

import gazetools
import gradtrack_model
from gazetools.cache import CacheSpec, layout, put_text
from gazetools.readers import READERS, generic

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "examples" / "docs"
COMMANDS = {
    point.name: point
    for point in distribution("gazetools").entry_points.select(group="console_scripts")
}
SHORTER = {"gradtrack-train": ["--preset", "tiny", "--iterations", "2"]}
"""What trains for minutes is made short."""


# ---------------------------------------------------------------- the site


class Page(HTMLParser):
    """Links, pictures, scripts and names of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.names: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names.add(given.get("id"))
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in ("img", "script", "iframe") and "src" in given:
            self.loaded.add(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.add(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, once; every page by its path."""
    out = tmp_path_factory.mktemp("docs")
    done = subprocess.run(
        [sys.executable, DOCS / "build.py", out], capture_output=True, text=True, cwd=out
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return {path.relative_to(out / "html"): path for path in (out / "html").rglob("*.html")}


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.values()}


@pytest.mark.slow
def test_every_link_leads_somewhere(pages):
    for path, page in pages.items():
        for link in page.links:
            target, name = urldefrag(link)
            if re.match("https?:|mailto:", target):
                continue
            file = (path.parent / unquote(target)).resolve() if target else path
            assert file.is_file(), f"{path}: {link}"
            if name and file in pages:
                assert unquote(name) in pages[file].names, f"{path}: {link}"


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        for source in page.loaded:
            file = path.parent / unquote(source.split("?")[0])
            assert source.startswith("data:") or file.is_file(), f"{path}: {source}"
    for style in {file for path in pages for file in path.parent.rglob("*.css")}:
        text = style.read_text(encoding="utf-8")
        assert "@import" not in text, style
        assert not re.search(r"""url\(["']?(https?:)?//""", text), style


def test_every_reader_has_a_page(site):
    for reader in (*READERS, generic.READER):
        text = site[Path("readers", f"{reader.name}.html")].read_text(encoding="utf-8")
        assert f">{reader.name}<" in text
        assert "literal-block-wrapper" in text or 'class="highlight"' in text  # raw lines


def test_every_command_has_a_page_with_its_options(site):
    for name, command in leaves():
        page, *below = name.removeprefix("gazetools ").split()
        text = site[Path("commands", f"{page}.html")].read_text(encoding="utf-8")
        assert not below or f'id="{name.replace(" ", "-")}"' in text
        for parameter in command.params:
            if getattr(parameter, "help", None):
                assert parameter.opts[0] in text, (name, parameter.opts)


def leaves():
    for name, point in COMMANDS.items():
        waiting = [(name, point.load())]
        while waiting:
            name, command = waiting.pop()
            if isinstance(command, click.Group):
                waiting += [(f"{name} {sub}", below) for sub, below in command.commands.items()]
            else:
                yield name, command


@pytest.mark.parametrize("package", [gazetools, gradtrack_model])
def test_every_public_name_is_told(package, site, pages):
    name = package.__name__
    told = pages[site[Path("python", f"{name}.html")]].names
    for public in package.__all__:
        homes = {f"{name}.{public}", f"{name}.config.{public}"}
        assert homes & told, public


# ---------------------------------------------------------------- what written pages say

WRITTEN = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page):
    """Their options as well; a command ends with its line, or with its backquote."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:torchrun .* )?((?:gazetools|gradtrack-\w+) .*)", text, re.M):
        assert_command(line.split("  #")[0])
    for code in re.findall(r"`((?:gazetools|gradtrack-\w+)[ \n][^`]+)`", text):
        assert_command(code)


def assert_command(line):
    name, *words = line.split()
    command = COMMANDS[name].load()
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    given = {word for word in words if re.match("-[-a-z]", word)}
    assert given <= known, line


@pytest.mark.parametrize("page", WRITTEN[1:], ids=lambda page: page.name)
def test_what_pages_link_to_in_the_repository_exists(page):
    links = re.findall(r"\]\(((?:\.\./)+[^)#]+)", page.read_text(encoding="utf-8"))
    paths = [(page.parent / link).resolve() for link in links]
    assert all(path.exists() for path in paths if not path.is_relative_to(DOCS)), links


# ---------------------------------------------------------------- the tutorial


@pytest.mark.slow
def test_the_tutorial(tmp_path, monkeypatch):
    """In its order, each Python anew; what is printed is what is shown."""
    monkeypatch.chdir(tmp_path)
    tokens = MarkdownIt().parse((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    blocks = [(token.info, token.content) for token in tokens if token.type == "fence"]
    printed = ""
    for kind, content in blocks:
        if kind == "text":
            assert_shown(printed, content)
        elif kind == "python":
            with redirect_stdout(StringIO()) as out:
                exec(compile(content, "tutorial.md", "exec"), {})
            printed = out.getvalue()
        else:
            assert kind == "sh"
            lines = content.replace("\\\n", " ").splitlines()
            printed = "".join(type_command(line, monkeypatch) for line in lines)
    assert {"levels.png", "report.html"} <= {path.name for path in Path().iterdir()}
    assert len(list(Path("predicted").glob("*.png"))) == 30


def type_command(line, monkeypatch):
    name, *arguments = shlex.split(line)
    if name == "cd":
        monkeypatch.chdir(*arguments)
        return ""
    done = CliRunner().invoke(COMMANDS[name].load(), arguments + SHORTER.get(name, []))
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done.stdout


def assert_shown(printed, expected):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    alike = doctest.OutputChecker().check_output(expected, printed, options)
    assert alike, f"shown:\n{expected}\nprinted:\n{printed}"


# ---------------------------------------------------------------- the specification of the cache


def test_a_cache_is_what_its_specification_says(tmp_path):
    spec = CacheSpec(levels=2, height=6, width=5)
    write(tmp_path / "maps.h5", [random_record(seed, spec) for seed in range(3)], spec)
    path = tmp_path / "with_text.h5"
    put_text(tmp_path / "maps.h5", random_text(3), path)
    sizes = {"N": 3, "L": 2, "H": 6, "W": 5, "T": 5, "D": 24}
    text = layout.__doc__
    rows = re.findall(r"``(/[a-z_/]+)``\s+([a-z]+\d+) \(([^)]*)\)", text)
    attributes = re.findall(r"^    ``([a-z]+)``  ", text, re.M)
    with h5py.File(path, libver=("v110", "v110")) as file:
        assert set(file.attrs) == set(attributes)
        assert file.attrs["format"].decode() == "gazetools-cache"
        assert int(file.attrs["version"]) in (2, 3)
        found = []
        file.visititems(lambda name, item: found.append((f"/{name}", item)))
        held = {name: item for name, item in found if isinstance(item, h5py.Dataset)}
        assert set(held) == {name for name, *_ in rows}
        for name, dtype, axes in rows:
            told = [axis.strip() for axis in axes.split(",") if axis.strip()]
            assert held[name].dtype == np.dtype(dtype), name
            assert held[name].dtype.newbyteorder("<") == held[name].dtype, name
            assert len(told) == held[name].ndim, name
            for axis, size in zip(told, held[name].shape, strict=True):
                expected = int(axis) if axis.isdigit() else sizes.get(axis, size)
                assert size == expected, (name, axis)
            assert held[name].chunks, name
            assert held[name].fletcher32, name
