"""Build the documentation site: written pages, pages made of the code, and pictures.

usage: python examples/docs/build.py OUT

OUT/html/index.html is the site, which needs no network. OUT/source is what Sphinx saw: nothing is
written beside the sources. OUT must be new, empty, or of an earlier build.
"""

import re
import shutil
import sys
from pathlib import Path
from posixpath import normpath, relpath

from pages import FORMATS, write_pages
from pictures import draw_pictures
from sphinx.cmd.build import build_main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INCLUDED = {
    "examples/descriptions.md": "formats/descriptions.md",
    "examples/mapping.toml": "examples/mapping.toml",
    "examples/my_dataset.toml": "examples/my_dataset.toml",
    "examples/results/kvasir_laptop.png": "pictures/kvasir_laptop.png",
    "examples/storyboard.png": "pictures/storyboard.png",
    "gazetools/describing/description.schema.json": "gazetools/describing/description.schema.json",
}
"""Files of the repository that pages show, and where the site has them."""

LINK_UP = re.compile(r"(!?)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")


def main(out: Path) -> int:
    source = out / "source"
    if out.exists() and {path.name for path in out.iterdir()} - {"doctrees", "html", "source"}:
        sys.exit(f"{out}: holds other things than a site; name a new folder")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for page in HERE.rglob("*.md"):
        lead_to_pages(source / page.relative_to(HERE), page.relative_to(ROOT).parent.as_posix())
    for name, place in INCLUDED.items():
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / place)
    write_pages(source)
    draw_pictures(source / "pictures")
    # whoever warns is wrong, and every page anew: the code they are made of may have changed
    options = ["-q", "-W", "--keep-going", "-E", "-a", "-c", str(HERE), "-d", str(out / "doctrees")]
    return build_main([*options, str(source), str(out / "html")])


def lead_to_pages(page: Path, folder: str) -> None:
    """Have links of a page to files of the repository lead to what the site has of them.

    Whoever reads the page in `folder` of the repository follows the link as it is written. A file
    that the site does not show is only named.
    """
    docs = HERE.relative_to(ROOT).as_posix()
    shown = INCLUDED | {module_file(name): f"formats/{title}.rst" for title, _, name in FORMATS}

    def led(found: re.Match[str]) -> str:
        picture, text, link = found.groups()
        file = normpath(f"{folder}/{link}")
        if file.startswith(f"{docs}/"):
            return found[0]
        if file not in shown and not picture:
            return text
        return f"{picture}[{text}]({relpath(f'{docs}/{shown[file]}', folder)})"

    page.write_text(LINK_UP.sub(led, page.read_text(encoding="utf-8")), encoding="utf-8")


def module_file(name: str) -> str:
    """Return where in the repository the docstring of a module stands."""
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/docs/build.py OUT")
    sys.exit(main(Path(sys.argv[1])))
