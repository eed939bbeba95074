"""Settings of Sphinx; `build.py` calls it."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "gazetools + GradTrack"
copyright = "The gazetools developers; BSD-3-Clause"
release = importlib.metadata.version("gazetools")

extensions = ["mathml", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 2

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings tell types, and shapes with them
napoleon_google_docstring = False
napoleon_use_rtype = False
# or else of "a, b : float" the first name were taken for the type
napoleon_custom_sections = [("Attributes", "params_style")]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "gazetools + GradTrack"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []
