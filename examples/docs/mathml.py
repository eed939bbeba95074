"""Formulas as MathML, which browsers draw by themselves: no script, no fonts, no network."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.math import wrap_displaymath

# as letters they would be set without the space around operators
_OPERATORS = str.maketrans(
    {
        "×": r"\times ",
        "·": r"\cdot ",
        "≥": r"\ge ",
        "≤": r"\le ",
        "←": r"\leftarrow ",
        "↑": r"\uparrow ",
    }
)


def visit_inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext().translate(_OPERATORS)))
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    latex = wrap_displaymath(node.astext().translate(_OPERATORS), None, False)
    writer.body.append(f'<div class="formula">{convert(latex, display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
