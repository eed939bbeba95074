"""Tables to files that other programs read: BIDS, CSV, a fixation report.

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
the derivative is written, as a data set of its own. Timestamps are the tracker's, in ms; onsets
of trials and of fixations are seconds from the first sample. Columns of SAMPLES that BIDS has
no name for (``eye_z_mm`` ...) keep ours. Participants and recordings become labels of letters
and digits; their names stand in participants.tsv alone, where they are easily removed.

**CSV** is the table as it is, UTF-8, missing values empty. The **report** is a fixation report
as EyeLink Data Viewer writes it: tabs, missing ".", times in ms from the start of the trial,
CURRENT_FIX_END inclusive.
"""

from gazetools.exporting.bids import BidsSpec, bids_files, export_bids
from gazetools.exporting.flat import export_csv, export_report, fixation_report
from gazetools.exporting.reading import Tables, read_tables

__all__ = [
    "BidsSpec",
    "Tables",
    "bids_files",
    "export_bids",
    "export_csv",
    "export_report",
    "fixation_report",
    "read_tables",
]
