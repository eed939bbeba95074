"""Where everything comes from, and what a paper has to say of it.

The items are those that the minimal reporting guideline (Dunn et al. 2024, "2023 edition")
asks for; the review behind it, Holmqvist et al. (2022), was retracted in November 2023 and is
named on the page as such. What no table knows is "not known", to be filled in by hand.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from gazetools.cache import Cache
from gazetools.reporting.gaze import Gaze
from gazetools.reporting.sources import Sources
from gazetools.reporting.words import counted, flat, number, shown

NOT_KNOWN = "not known"
_BY_HAND = (
    "eye tracker, make and model",
    "eyes recorded and analysed",
    "calibration and validation procedure",
    "head restraint, lighting and set-up",
    "participants: age, sight, spectacles, selection",
    "instructions and task",
)


@dataclass(frozen=True)
class ReportedItem:
    """Something a paper should tell, and what is known of it."""

    name: str
    value: str

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return bool(self.value)


@dataclass(frozen=True)
class Origin:
    """One input with all that is told of its making."""

    name: str
    kind: str
    rows: tuple[tuple[str, str], ...]


def reported_items(sources: Sources, gaze: Gaze | None) -> list[ReportedItem]:
    """Answer the items of the guideline as far as the tables know them."""
    quality = [table.rows for table in sources.quality]
    rows = pd.concat(quality) if quality else None
    recordings = rows[rows["level"] == "recording"] if rows is not None else None
    known = {
        "export format": _formats(sources),
        "sampling rate": _rate(sources, recordings),
        "screen and distance": _screens(sources),
        "participants, recordings, stimuli": _sizes(sources, gaze),
        "accuracy": _accuracy(recordings),
        "precision": _precision(recordings),
        "data loss": _loss(sources, recordings),
        "event detection": _detection(sources),
        "its parameters": _parameters(sources),
        "exclusion": _exclusion(sources, recordings),
        "maps and pseudo-masks": _maps(sources),
        "software": f"gazetools {version('gazetools')}",
    }
    by_hand = [ReportedItem(name, "") for name in _BY_HAND]
    return [ReportedItem(name, shown(value, 900)) for name, value in known.items()] + by_hand


def paragraph(items: Iterable[ReportedItem]) -> str:
    """Write the items as a paragraph, with what is to be filled in in brackets."""
    told = {item.name: item.value for item in items}
    sentences = [
        f"{name[0].upper()}{name[1:]}: {value or f'[{NOT_KNOWN}]'}." for name, value in told.items()
    ]
    return " ".join(sentences)


def origins(sources: Sources) -> list[Origin]:
    """All that tables, cache and runs tell of their making."""
    found = []
    for kind, tables in (
        ("fixations", sources.fixations),
        ("saccades", sources.saccades),
        ("quality", sources.quality),
        ("blinks", sources.blinks),
    ):
        for table in tables:
            rows = (("rows", f"{len(table.rows):,}"), *flat(table.note))
            found.append(Origin(shown(table.path.name), kind, rows))
    for file in sources.samples:
        rows = (("rows", f"{file.count:,}"), *flat(file.note))
        found.append(Origin(shown(file.path.name), "samples", rows))
    cache = sources.cache
    if cache is not None:
        about = {
            "items": len(cache),
            "sha256": cache.sha256,
            "spec": vars(cache.spec),
            "sources": cache.sources,
            "recipe": cache.recipe,
        }
        found.append(Origin(shown(cache.path.name), "cache", tuple(flat(about))))
    for run in sources.runs:
        told = {k: v for k, v in run.config.items() if k != "items"}
        part = dict(run.part("cache"))
        if "path" in part:  # where it lay is nobody's business
            part["path"] = str(part["path"]).replace("\\", "/").rsplit("/", 1)[-1]
        found.append(Origin(shown(run.name), "run", tuple(flat({**told, "cache": part}))))
    return found


def curated(cache: Cache | None) -> str:
    """Say what was decided about the gaze of a cache before it was rendered; nothing if nothing."""
    decided = cache.recipe.get("curation") if cache is not None else None
    rows = flat(decided) if isinstance(decided, dict) else []
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rows)


def _formats(sources: Sources) -> str:
    found: Counter[str] = Counter()
    for summary in _summaries(sources):
        formats = summary.get("formats")
        for name, count in formats.items() if isinstance(formats, dict) else ():
            found[str(name)] += int(np.nan_to_num(number(count)))
    return ", ".join(f"{name} ({counted(n, 'recording')})" for name, n in found.items())


def _rate(sources: Sources, recordings: pd.DataFrame | None) -> str:
    if recordings is not None and recordings["rate_hz"].notna().any():
        stated = recordings["stated_rate_hz"].dropna()
        beside = f", stated {_span(stated)} Hz" if len(stated) else ""
        return f"{_span(recordings['rate_hz'])} Hz measured{beside}"
    told = [summary.get("rates_hz") for summary in _summaries(sources)]
    rates = [number(rate) for one in told if isinstance(one, list) for rate in one]
    known = pd.Series(rates, dtype=float).dropna()
    return f"{_span(known)} Hz measured" if len(known) else ""


def _screens(sources: Sources) -> str:
    names = ("width_px", "height_px", "width_mm", "height_mm", "distance_mm")
    found: dict[str, None] = {}
    for note in sources.notes:
        told = note.get("screens")
        for screen in told if isinstance(told, list) else []:
            sizes = [number(screen.get(n) if isinstance(screen, dict) else None) for n in names]
            if np.isfinite(sizes).all():
                across, down, wide, high, far = sizes
                text = f"{across:g} x {down:g} px, {wide:g} x {high:g} mm, seen from {far:g} mm"
                found[text] = None
    return "; ".join(found)


def _sizes(sources: Sources, gaze: Gaze | None) -> str:
    parts: list[str] = []
    tables = sources.fixations or sources.quality
    if tables:
        rows = pd.concat([table.rows[["subject", "recording"]] for table in tables])
        parts += [
            counted(rows["subject"].nunique(), "participant"),
            counted(len(rows.drop_duplicates()), "recording"),
        ]
    if gaze is not None:
        parts += [
            counted(len(gaze.names), "stimulus", "stimuli"),
            counted(len(gaze.x), "fixation"),
        ]
    return ", ".join(parts)


def _accuracy(recordings: pd.DataFrame | None) -> str:
    if recordings is None or not recordings["accuracy_deg"].notna().any():
        return ""
    source = sorted({str(name) for name in recordings["accuracy_from"].dropna()})
    return f"{_middle(recordings['accuracy_deg'])} deg, from {', '.join(source) or NOT_KNOWN}"


def _precision(recordings: pd.DataFrame | None) -> str:
    if recordings is None:
        return ""
    parts: list[str] = []
    for column, name, unit in (
        ("rms_s2s_deg", "RMS-S2S", "deg"),
        ("std_deg", "STD", "deg"),
        ("bcea_deg2", "BCEA (68.2 %)", "deg²"),
        ("rms_s2s_px", "RMS-S2S", "px"),
    ):
        if recordings[column].notna().any() and not (unit == "px" and parts):
            parts.append(f"{name} {_middle(recordings[column])} {unit}")
    return "; ".join(parts) + ", median over fixations" if parts else ""


def _loss(sources: Sources, recordings: pd.DataFrame | None) -> str:
    if recordings is not None and recordings["loss_pct"].notna().any():
        return f"{_middle(recordings['loss_pct'], 1)} % of the expected samples"
    told = [summary.get("samples") for summary in _summaries(sources)]
    counts = [
        (number(samples.get("missing")), number(samples.get("read")))
        for samples in told
        if isinstance(samples, dict)
    ]
    missing, read = np.nansum(np.reshape(counts, (-1, 2)), axis=0)
    return f"{100 * missing / read:.1f} % of the samples read" if read > 0 <= missing else ""


def _detection(sources: Sources) -> str:
    by = sorted({str(s) for table in sources.fixations for s in table.rows["source"].unique()})
    if not by:
        by = sorted(
            {str(s) for table in sources.quality for s in table.rows["fixations_by"].dropna()}
        )
    return ", ".join(by[:6])


def _parameters(sources: Sources) -> str:
    names = ("events", "profile", "settings", "blink")
    specs = [note.get("spec") for note in sources.notes]
    told: list[Mapping[str, Any]] = [spec for spec in specs if isinstance(spec, dict)]
    found: dict[str, None] = {}
    for spec in told:
        rows = flat({name: spec.get(name) for name in names})
        found[", ".join(f"{name} {value}" for name, value in rows)] = None
    return "; ".join(filter(None, found))


def _exclusion(sources: Sources, recordings: pd.DataFrame | None) -> str:
    if recordings is None:
        return ""
    flagged = int((recordings["flags"] != "").sum())
    told = [table.note.get("limits") for table in sources.quality]
    rows = flat(told[0]) if isinstance(told[0], dict) and all(t == told[0] for t in told) else []
    by = "; limits: " + ", ".join(f"{name} {value}" for name, value in rows) if rows else ""
    return f"{flagged} of {len(recordings)} recordings are flagged{by}{_curated(sources)}"


def _curated(sources: Sources) -> str:
    """Say what people decided, as far as the cache was rendered with it."""
    decided = curated(sources.cache)
    if not decided:
        return "; flags exclude nothing by themselves"
    return f"; the cache was rendered with decisions on its gaze: {decided}"


def _maps(sources: Sources) -> str:
    if sources.cache is None:
        return ""
    recipe = sources.cache.recipe
    rows = flat({name: recipe.get(name) for name in ("tracks", "maps")})
    masks = recipe.get("masks")
    source = masks.get("source") if isinstance(masks, dict) else None
    named = [f"pseudo-masks {shown(source)}"] if source else []
    return ", ".join([f"{name} {value}" for name, value in rows] + named)


def _summaries(sources: Sources) -> list[Mapping[str, Any]]:
    """Find what `ingest` counted, each once: in the notes of tables and the recipe of the cache."""
    notes = list(sources.notes)
    if sources.cache is not None:
        ingest = sources.cache.recipe.get("ingest")
        notes += [ingest] if isinstance(ingest, dict) else []
    found: list[Mapping[str, Any]] = []
    for note in notes:  # tables of one ingest tell the same
        summary = note.get("summary")
        if isinstance(summary, dict) and summary not in found:
            found.append(summary)
    return found


def _span(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if np.isclose(low, high, rtol=1e-3) else f"{low:.4g} to {high:.4g}"


def _middle(values: pd.Series, digits: int = 2) -> str:
    seen = values.dropna()
    mean, low, high = (f"{float(v):.{digits}f}" for v in (seen.mean(), seen.min(), seen.max()))
    return f"{mean} ({low} to {high}, {len(seen)} recordings)" if len(seen) > 1 else mean
