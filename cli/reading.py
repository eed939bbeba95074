"""How exports are read and events found: the options that `ingest` and `check` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .common import FILE, printable

if TYPE_CHECKING:
    from gazetools.ingestion import IngestSpec

F = TypeVar("F", bound=Callable[..., Any])

TRIAL_FROM = click.option(
    "--trial-from",
    help="Regular expression: a message that it matches begins a trial; its first group names "
    "the stimulus.",
)
MAPPING = click.option(
    "--mapping", type=FILE, help="TOML that describes tables of no known vendor; for all inputs."
)
_OPTIONS = (
    click.option(
        "--events",
        type=click.Choice(["auto", "ivt", "vendor"]),
        default="auto",
        show_default=True,
        help="Whose fixations: ours (by I-VT, or --profile), or the vendor's. auto: ours where it "
        "finds the vendor's, or there are none.",
    ),
    click.option(
        "--profile",
        default="auto",
        show_default=True,
        help="Settings of the detector: tobii-prolab, tobii-prolab-attention, tobii-studio, "
        "eyelink, pupil-core, olsen2012, idt, engbert-kliegl, or a TOML file. auto: closest to the "
        "vendor's.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        help="Change one of them, e.g. velocity_threshold_deg_s=40.",
    ),
    click.option(
        "--blink-padding",
        type=float,
        default=0.0,
        show_default=True,
        help="Gaze that is not used before and after a blink, ms.",
    ),
    click.option(
        "--placement",
        type=click.Choice(["fit", "fill", "centre", "none"]),
        help="Where images lay on the screen; goes before what the export says.",
    ),
    click.option(
        "--stimuli",
        type=FILE,
        help="CSV of rectangles, before all else: stimulus,x_px,y_px,width_px,height_px.",
    ),
    click.option(
        "--screen",
        help="Size, if the export does not say: 1920x1080; and where it does not say where the "
        "eyes were, mm and eye distance in mm too: 1920x1080:527x296:650.",
    ),
    click.option("--images", type=FILE, help="For their sizes  [default: images/ if there]"),
    TRIAL_FROM,
    MAPPING,
    click.option(
        "--deidentify",
        is_flag=True,
        help="Pseudonyms for the names of participants and recordings; no dates, no file names.",
    ),
    click.option(
        "--deidentify-key",
        type=FILE,
        help="Do so with the key in this file, made if it is not there; the same key gives the "
        "same pseudonyms.  [default: deidentify.key in this folder]",
    ),
)


def reading_options(command: F) -> F:
    """Give a command the options from which :func:`ingest_spec` is made."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def ingest_spec(
    *,
    events: str,
    profile: str,
    settings: tuple[str, ...],
    blink_padding: float,
    placement: str | None,
    stimuli: Path | None,
    screen: str | None,
    images: Path | None,
    trial_from: str | None,
    mapping: Path | None,
    deidentify: bool,
    deidentify_key: Path | None,
) -> "IngestSpec":
    """Make the settings that the options say."""
    from gazetools.events import BlinkSpec
    from gazetools.geometry import parse_screen
    from gazetools.identity import KEY_NAME
    from gazetools.ingestion import IngestSpec
    from gazetools.readers import ReadOptions
    from gazetools.settings import parse_settings

    screen_px, known_screen = parse_screen(screen) if screen else (None, None)
    if images is None and (placement or stimuli) and Path("images").is_dir():
        images = Path("images")
    return IngestSpec(
        events=events,
        profile=profile,
        settings=parse_settings(settings),
        blink=BlinkSpec(padding_ms=blink_padding),
        placement=placement,
        screen_px=screen_px,
        screen=known_screen,
        stimuli=stimuli,
        images=images,
        reading=ReadOptions(trial_from, mapping),
        deidentify_key=(deidentify_key or Path(KEY_NAME)) if deidentify or deidentify_key else None,
    )


@contextmanager
def telling_of_a_new_key(spec: "IngestSpec") -> Iterator[None]:
    """Say so if what is done meanwhile, or tried in vain, makes a key."""
    key = spec.deidentify_key
    is_new = key is not None and not key.exists()
    try:
        yield
    finally:
        if is_new and key is not None and key.exists():
            click.echo(
                f"new key: {printable(str(key))}; who has it can find out who is who: keep it "
                "apart from the tables, and use it again for the same participants",
                err=True,
            )
