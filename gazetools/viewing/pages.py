"""Pages as text: templates of this package and of the report, with every name escaped."""

from dataclasses import dataclass, replace
from importlib.resources import files
from threading import Lock
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from gazetools.cache import Cache
from gazetools.curation import Decision, Drop, Exclude, Shift
from gazetools.errors import FormatError
from gazetools.reporting.page import build_page
from gazetools.reporting.provenance import curated
from gazetools.reporting.sources import Sources
from gazetools.reporting.spec import ReportSpec, key_of
from gazetools.reporting.words import counted, shown
from gazetools.viewing.collection import Collection, Trial, of_stimulus
from gazetools.viewing.notebook import Decided, Notebook, key_of_decision
from gazetools.viewing.spec import ViewSpec

PER_PAGE = 60
_MOST_DECISIONS = 500


@dataclass(frozen=True)
class Entry:
    """A stimulus in the list."""

    number: int
    name: str
    facts: tuple[str, ...]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Noted:
    """A decision in words, where it can be seen, and whether it is about more than a trial."""

    key: str
    action: str
    target: str
    by: str
    href: str
    is_wide: bool


class Pages:
    """Makes each page when it is asked for; numbers that name nothing are a LookupError."""

    def __init__(self, sources: Sources, spec: ViewSpec, notebook: Notebook | None) -> None:
        self._sources, self._spec, self._notebook = sources, spec, notebook
        self._collection = Collection(sources, spec)
        self._drawn = _how_drawn(sources.cache)
        self._reading = Lock()  # a cache is read by one at a time
        self._environment = Environment(
            loader=FunctionLoader(part),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def __len__(self) -> int:
        return len(self._collection.names)

    def listing(self, wanted: str, page: int, write_token: str) -> str:
        """List the stimuli whose names have `wanted` in them, so many a page."""
        names = self._collection.names
        found = [n for n, name in enumerate(names, 1) if wanted.casefold() in name.casefold()]
        last = max(1, -(-len(found) // PER_PAGE))
        page = min(max(page, 1), last)
        begin = PER_PAGE * (page - 1)
        decided = self._decided()
        return self._page(
            "listing.html.j2",
            write_token,
            entries=[self._entry(n, decided) for n in found[begin : begin + PER_PAGE]],
            first=begin + 1,
            found=len(found),
            total=len(names),
            wanted=wanted,
            page=page,
            last=last,
            drawn=self._drawn,
        )

    def card(self, number: int) -> str:
        """Draw what the list shows of a stimulus."""
        self._check(number)
        with self._reading:
            card = self._collection.card(number)
        return self._environment.get_template("card.html.j2").render(card=card, data={})

    def stimulus(self, number: int, trial_number: int, write_token: str) -> str:
        """Show a stimulus with one of its trials, and what is decided about it."""
        self._check(number)
        trials = self._collection.trials(number)
        if trial_number != 1 and not 1 <= trial_number <= len(trials):
            raise LookupError(trial_number)
        with self._reading:
            card = self._collection.card(number)
        decided = self._decided()
        trial = trials[trial_number - 1] if trials else None
        return self._page(
            "stimulus.html.j2",
            write_token,
            card=card,
            total=len(self),
            trials=[(one, self._marks(one, decided)) for one in trials],
            trial=trial,
            **self._curated(trial, card.view, decided),
        )

    def decisions(self, write_token: str) -> str:
        """List decisions, the latest first; those without room can be seen at their stimuli."""
        decided = self._decided()
        if decided is None:
            return self._page("decisions.html.j2", write_token, noted=[], left=0, facts=[])
        several = decided.curation.decisions
        summary = decided.summary
        facts = [
            counted(summary.excluded_trials, "trial") + " excluded",
            counted(summary.shifted_trials, "trial") + " shifted",
            counted(summary.dropped_fixations, "fixation") + " marked as bad",
        ]
        numbers = {name: number for number, name in enumerate(self._collection.names, 1)}
        return self._page(
            "decisions.html.j2",
            write_token,
            noted=[self._noted(one, numbers) for one in several[::-1][:_MOST_DECISIONS]],
            left=max(0, len(several) - _MOST_DECISIONS),
            facts=facts,
        )

    def report(self, number: int | None) -> bytes:
        """Make the report of one stimulus, or of everything but the stimuli; as decided."""
        decided, table = self._decided(), self._collection.table
        left = decided.table if decided is not None else None
        if number is None:
            spec = ReportSpec(title="Overview, as decided", most=0)
            tables = self._sources.fixations
            if table is not None and left is not None:
                tables = (replace(table, rows=left),)
            sources = replace(self._sources, fixations=tables)
        else:
            self._check(number)
            name = self._collection.names[number - 1]
            spec = ReportSpec(title=shown(name), images=self._spec.images, only=(name,), most=1)
            tables = ()
            if table is not None and left is not None:
                spelled = {trial.stimulus for trial in self._collection.trials(number)}
                one = of_stimulus(table, left, spelled)
                tables = (one,) if len(one.rows) else ()
            given = self._sources
            samples, blinks = (given.samples, given.blinks) if tables else ((), ())
            sources = Sources(tables, blinks=blinks, samples=samples, cache=given.cache)
            if not tables and sources.cache is None:
                raise FormatError("nothing is left of this stimulus; take a decision back first")
        with self._reading:
            return build_page(sources, spec)[0]

    def message(self, title: str, text: str) -> str:
        """Say why something is not shown."""
        return self._page("message.html.j2", "", heading=title, text=shown(text, 600))

    def opening(self) -> str:
        """Lead from the address with the token to the first page."""
        return self._environment.get_template("opening.html.j2").render()

    def trial(self, number: int, trial_number: int) -> Trial:
        """Return a trial by its numbers."""
        self._check(number)
        trials = self._collection.trials(number)
        if not 1 <= trial_number <= len(trials):
            raise LookupError(trial_number)
        return trials[trial_number - 1]

    def close(self) -> None:
        """Wait until nothing is being read; nothing can be, afterwards."""
        self._reading.acquire()

    def _check(self, number: int) -> None:
        if not 1 <= number <= len(self):
            raise LookupError(number)

    def _decided(self) -> Decided | None:
        return self._notebook.decided() if self._notebook is not None else None

    def _page(self, name: str, write_token: str, **context: Any) -> str:
        file = self._notebook.path.name if self._notebook is not None else ""
        return self._environment.get_template(name).render(
            context, write_token=write_token, file=file
        )

    def _entry(self, number: int, decided: Decided | None) -> Entry:
        rows, marks = self._collection.rows(number), []
        if decided is not None:
            gone = int(decided.left_out[rows].sum())
            if gone:
                marks.append("left out" if gone == len(rows) else f"{gone:,} left out")
            if decided.shifted[rows].any():
                marks.append("shifted")
        facts = (counted(len(rows), "fixation"),) if len(rows) else ()
        name = shown(self._collection.names[number - 1])
        return Entry(number, name, facts, tuple(marks))

    def _marks(self, trial: Trial, decided: Decided | None) -> tuple[str, ...]:
        if decided is None:
            return ()
        gone = int(decided.left_out[trial.rows].sum())
        all_gone = gone == len(trial.rows)
        told = ("left out" if all_gone else f"{gone:,} left out") if gone else ""
        moved = "shifted" if decided.shifted[trial.rows].any() else ""
        return tuple(mark for mark in (told, moved) if mark)

    def _curated(
        self, trial: Trial | None, view: tuple[float, float], decided: Decided | None
    ) -> dict[str, Any]:
        """Gather what is decided about a trial, and its fixations."""
        if trial is None or decided is None:
            return {"size": None, "fixations": [], "bad": {}, "excluded": [], "shift": None}
        about = [one for one in decided.curation.decisions if trial.is_meant_by(one)]
        shift = next((one for one in about if isinstance(one, Shift)), None)
        return {
            "size": self._collection.image_size(trial),
            "fixations": self._collection.fixations(trial, view),
            "bad": {one.order: key_of_decision(one) for one in about if isinstance(one, Drop)},
            "excluded": [self._noted(one, {}) for one in about if isinstance(one, Exclude)],
            "shift": (shift, key_of_decision(shift)) if shift is not None else None,
        }

    def _noted(self, decision: Decision, numbers: dict[str, int]) -> Noted:
        names = ("subject", "recording", "trial", "stimulus", "order")
        told = [(name, getattr(decision, name, None)) for name in names]
        action = {"drop": "bad fixation"}.get(decision.action, decision.action)
        if isinstance(decision, Shift):
            action = f"shift by {decision.dx_im:+g}, {decision.dy_im:+g}"
        by = (decision.who, decision.when, decision.why)
        return Noted(
            key=key_of_decision(decision),
            action=action,
            target=", ".join(f"{name} {shown(value)}" for name, value in told if value is not None),
            by=", ".join(shown(value) for value in by if value),
            href=self._href(decision, numbers),
            is_wide=decision.trial is None,
        )

    def _href(self, decision: Decision, numbers: dict[str, int]) -> str:
        """Where a decision on one trial can be seen; nothing for those on more."""
        number = numbers.get(key_of(decision.stimulus)) if decision.stimulus else None
        if number is None:
            return ""
        trials = self._collection.trials(number)
        meant = [trial.number for trial in trials if trial.is_meant_by(decision)]
        return f"/stimulus/{number}/{meant[0]}" if meant else ""


def _how_drawn(cache: Cache | None) -> str:
    """Say which gaze pictures show: none of them waits for what is being decided."""
    if cache is None:
        return "Pictures show gaze as recorded; what is decided stands beside them."
    decided = curated(cache)
    how = f"with decisions on it ({decided})" if decided else "without any decision on it"
    return f"Pictures show gaze as it was rendered into {shown(cache.path.name)}, {how}."


def part(name: str) -> str:
    """Text of a file of this package, else of the report's."""
    for package in ("gazetools.viewing", "gazetools.reporting"):
        file = files(package).joinpath(name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise LookupError(name)
