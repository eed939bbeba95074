"""Tables to files that other programs read: BIDS, Croissant, Hugging Face, scanpaths, CSV.

**BIDS** 1.11, raw eye tracking with the detected events, and the fixation table as a derivative::

    dataset_description.json  README.md  participants.tsv  participants.json
    task-view_events.json                                       StimulusPresentation: the screen
    sub-P01/beh/sub-P01_task-view_run-1_events.tsv              trials and stimuli
    sub-P01/beh/sub-P01_task-view_run-1_recording-eye1_physio.tsv.gz, .json        left eye
    sub-P01/beh/sub-P01_task-view_run-1_recording-eye2_physio.tsv.gz, .json        right eye
    sub-P01/beh/sub-P01_task-view_run-1_recording-eye3_physio.tsv.gz, .json        both: x_px, y_px
    sub-P01/beh/sub-P01_task-view_run-1_recording-eye3_physioevents.tsv.gz, .json  what was detected
    derivatives/gazetools/sub-P01/beh/sub-P01_task-view_run-1_desc-fixations_events.tsv, .json

A recording of one eye has one file, with that eye's number. Where there are no samples, only
the derivative is written, as a data set of its own; saccades and blinks of recordings without
samples are left out. Timestamps are the tracker's, in ms; onsets of trials and of fixations are
seconds from the first sample. Columns of SAMPLES that BIDS has no name for (``eye_z_mm`` ...)
keep ours. Participants and recordings become labels of letters and digits; their names stand in
participants.tsv alone, where they are easily removed.

**CSV** is the table as it is, UTF-8, missing values empty. The **report** is a fixation report
as EyeLink Data Viewer writes it: tabs, missing ".", times in ms from the start of the trial,
CURRENT_FIX_END inclusive.

**Croissant** 1.1 (:mod:`~gazetools.exporting.croissant`), a folder for `datasets` of **Hugging
Face** (:mod:`~gazetools.exporting.hugging_face`) and **scanpaths** as COCO-Search18 has them
(:mod:`~gazetools.exporting.scanpaths`) are described where they are written. The first two say
what whoever publishes the data says of it (:class:`About`), and make nothing up.

Every writer returns what it wrote, and what of the tables it left out: rows, and columns that
nobody declared, which only CSV has a place for (:class:`Exported`).

A folder has a hidden file ``.gazetools.sha256``, which `sha256sum -c` reads: one in which a file
was changed, or has come in since, is not overwritten.
"""

from gazetools.exporting.about import About, read_about
from gazetools.exporting.bids import BidsSpec, export_bids
from gazetools.exporting.croissant import export_croissant
from gazetools.exporting.exported import Exported, LeftOut
from gazetools.exporting.flat import export_csv, export_report, fixation_report
from gazetools.exporting.hugging_face import HuggingFaceSpec, export_hugging_face
from gazetools.exporting.reading import Tables, read_tables
from gazetools.exporting.scanpaths import ScanpathSpec, export_scanpaths, scanpaths

__all__ = [
    "About",
    "BidsSpec",
    "Exported",
    "HuggingFaceSpec",
    "LeftOut",
    "ScanpathSpec",
    "Tables",
    "export_bids",
    "export_croissant",
    "export_csv",
    "export_hugging_face",
    "export_report",
    "export_scanpaths",
    "fixation_report",
    "read_about",
    "read_tables",
    "scanpaths",
]
