"""The page: templates, styles and script of this package, filled and written whole."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from gazetools.errors import OutputError
from gazetools.files import check_output, check_unread, replacing
from gazetools.reporting.gaze import Gaze
from gazetools.reporting.overview import charts, headline, quality_view
from gazetools.reporting.provenance import NOT_KNOWN, curated, origins, paragraph, reported_items
from gazetools.reporting.sources import Sources, open_sources
from gazetools.reporting.spec import ReportSpec
from gazetools.reporting.stimuli import Listed, Stimuli, level_names, order_colours
from gazetools.reporting.training import training_view
from gazetools.reporting.words import shown

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""

_MOST_LISTED = 5000
_LISTED_BYTES = 80


@dataclass(frozen=True)
class ReportSummary:
    """What a report shows, and what it weighs."""

    stimuli: int
    shown: int
    flagged: int
    fixations: int
    runs: int
    bytes: int

    def as_dict(self) -> dict[str, int]:
        """Return plain types, for JSON."""
        return asdict(self)


def write_report(
    paths: Sequence[Path],
    out: Path,
    spec: ReportSpec | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda done, total, name: None,
) -> ReportSummary:
    """Write one HTML file of what tables, a cache and runs hold; it needs nothing else.

    Parameters
    ----------
    paths : sequence of Path
        Fixations, samples, saccades, blinks and quality (Parquet), at most one cache, folders of
        runs; they are told apart by content.
    out : Path
    spec : ReportSpec, optional
    overwrite : bool
        Replace `out` if it exists.
    progress : callable, optional
        Called after each stimulus.

    Raises
    ------
    FormatError, SchemaError, CacheError
        An input is missing, damaged, or of a kind that a report does not show.
    OutputError
        `out` exists and `overwrite` is false, or is what is read; or the disk refuses it.
    """
    spec = spec or ReportSpec()
    check_unread(out, paths)
    check_output(out, overwrite=overwrite)
    with open_sources(paths) as sources:
        page, summary = build_page(sources, spec, progress)
    with replacing(out, overwrite=overwrite) as temporary:
        temporary.write_bytes(page)
    return summary


def build_page(
    sources: Sources, spec: ReportSpec, progress: Progress = lambda done, total, name: None
) -> tuple[bytes, ReportSummary]:
    """Make the page and tell what it shows; the same sources make the same bytes."""
    environment = _environment()
    stimuli = Stimuli(sources, spec)
    context = _context(sources, stimuli.measured(), spec)
    template = environment.get_template("report.html.j2")
    limit = int(spec.limit_mb * 1e6)
    bare = _encoded(template.render(context, cards=[], rest=[], uncounted=0, stimuli=stimuli))
    room = limit - len(bare) - _listing_bytes(stimuli)
    cards = _cards(environment, stimuli, spec.most, room, progress)
    left = stimuli.order[len(cards) :]
    rest: list[Listed] = [stimuli.listed(name) for name in left[:_MOST_LISTED]]
    uncounted = len(left) - len(rest)
    page = _encoded(
        template.render(context, cards=cards, rest=rest, uncounted=uncounted, stimuli=stimuli)
    )
    if len(page) > limit:
        raise OutputError(
            f"the page would have {len(page) / 1e6:.1f} MB without any stimulus, the limit is "
            f"{spec.limit_mb:g}; give fewer paths, or a higher limit"
        )
    return page, ReportSummary(
        stimuli=len(stimuli),
        shown=len(cards),
        flagged=stimuli.flagged,
        fixations=len(stimuli.gaze.x) if stimuli.gaze is not None else 0,
        runs=len(sources.runs),
        bytes=len(page),
    )


def _cards(
    environment: Environment, stimuli: Stimuli, most: int, room: int, progress: Progress
) -> list[Markup]:
    """Fill cards as long as there is room for them."""
    template = environment.get_template("card.html.j2")
    filled: list[Markup] = []
    total = min(most, len(stimuli))
    for number, name in enumerate(stimuli.order[:total], start=1):
        card = stimuli.card(number, name)
        markup = Markup(template.render(card=card, data=stimuli.layers(name, card)))
        room -= len(_encoded(markup))
        if room < 0:
            break
        filled.append(markup)
        progress(len(filled), total, card.name)
    return filled


def _listing_bytes(stimuli: Stimuli) -> int:
    """At most so many are needed to name all stimuli."""
    names = stimuli.order[:_MOST_LISTED]
    return sum(len(_encoded(str(escape(shown(name))))) + _LISTED_BYTES for name in names)


def _context(sources: Sources, gaze: Gaze | None, spec: ReportSpec) -> dict[str, Any]:
    style, script = (_part(name) for name in ("report.css", "report.js"))
    items = reported_items(sources, gaze)
    return {
        "title": shown(spec.title),
        "policy": _policy(style, script),
        "style": Markup(style),
        "script": Markup(script),
        "version": version("gazetools"),
        "headline": headline(sources, gaze),
        "charts": charts(sources, gaze),
        "quality": quality_view(sources),
        "training": training_view(sources),
        "items": items,
        "paragraph": paragraph(items),
        "not_known": NOT_KNOWN,
        "origins": origins(sources),
        "order": spec.order,
        "ramp": order_colours(7),
        "level_names": level_names(sources.cache),
        "curated": curated(sources.cache),
    }


def _policy(style: str, script: str) -> str:
    """Allow our style, our script and pictures inside the page, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_part),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _part(name: str) -> str:
    """Text of a file of this package; every system has it with the same line ends."""
    return files("gazetools.reporting").joinpath(name).read_text(encoding="utf-8")


def _encoded(text: str) -> bytes:
    """Encode; half characters that JSON can hold become question marks."""
    return text.encode("utf-8", "replace")
