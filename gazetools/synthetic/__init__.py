"""Seeded synthetic cohorts with known truth: images, masks and raw eye-tracker exports.

They are the demo data, and what the tests measure the rest of the package against.
:func:`write_cohort` makes a whole folder. Its parts can be used alone: the image and
its lesion (:mod:`.drawing`), the simulated reader (:mod:`.scanpath`) and eye tracker
(:mod:`.tracker`), a session before a display (:mod:`.session`) and the vendor's file
(:mod:`.prolab`). The same reader looks at images that there are (:mod:`.simulating`).
"""

from gazetools.synthetic.cohort import Cohort, write_cohort
from gazetools.synthetic.drawing import synthetic_image
from gazetools.synthetic.prolab import ExportOptions, write_prolab_export
from gazetools.synthetic.scanpath import ReaderModel, simulate_scanpath
from gazetools.synthetic.session import Session, record_session, simulate_session
from gazetools.synthetic.spec import CohortSpec, Presentation, fitted
from gazetools.synthetic.tracker import Subject, schedule, simulate_samples

__all__ = [
    "Cohort",
    "CohortSpec",
    "ExportOptions",
    "Presentation",
    "ReaderModel",
    "Session",
    "Subject",
    "fitted",
    "record_session",
    "schedule",
    "simulate_samples",
    "simulate_scanpath",
    "simulate_session",
    "synthetic_image",
    "write_cohort",
    "write_prolab_export",
]
