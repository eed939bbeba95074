"""Build the documentation site: written pages, pages made of the code, and pictures.

usage: python examples/docs/build.py OUT

OUT/html/index.html is the site, which needs no network. OUT/source is what Sphinx saw: nothing is
written beside the sources.
"""

import shutil
import sys
from pathlib import Path

from pages import write_pages
from pictures import draw_pictures
from sphinx.cmd.build import build_main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INCLUDED = {
    "examples/descriptions.md": "formats/descriptions.md",
    "examples/mapping.toml": "examples/mapping.toml",
    "examples/my_dataset.toml": "examples/my_dataset.toml",
    "examples/storyboard.png": "pictures/storyboard.png",
    "gazetools/describing/description.schema.json": "gazetools/describing/description.schema.json",
}
"""Files of the repository that pages show, and where the site has them."""


def main(out: Path) -> int:
    source = out / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for name, place in INCLUDED.items():
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / place)
    write_pages(source)
    draw_pictures(source / "pictures")
    # whoever warns is wrong, and every page anew: the code they are made of may have changed
    options = ["-q", "-W", "--keep-going", "-E", "-a", "-c", str(HERE), "-d", str(out / "doctrees")]
    return build_main([*options, str(source), str(out / "html")])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/docs/build.py OUT")
    sys.exit(main(Path(sys.argv[1])))
