"""Who looked, and when: hidden on the way into tables, and found where it still stands.

The rule of ``gazetools ingest --deidentify``, for what a reader tells of an export:

====================================  ==========================================================
names of participants                 pseudonyms: HMAC-SHA256 with a key that nobody else has
names of recordings                   pseudonyms too, as many are file names or hold a name or date
the tracker's clock                   counted from the first sample, as some clocks tell the date
dates, software, serial numbers ...   left out; no table has a place for them
names of files, of folders, of keys   left out; exports are known by the SHA-256 of their content
messages about damaged exports        left out but for the line, as they quote the export
names of stimuli                      kept, as images are found by them; suspicious ones counted
gaze, sizes of screens, durations     kept
====================================  ==========================================================

A hash without a key would hide nobody: names are few, and who hashes them all finds the one.
With one key the same spelling gets the same pseudonym, whichever call wrote it.
"""

from gazetools.identity.finding import Finding, clock_findings, name_findings, table_findings
from gazetools.identity.hiding import Hiding
from gazetools.identity.key import KEY_NAME, ensure_key

__all__ = [
    "KEY_NAME",
    "Finding",
    "Hiding",
    "clock_findings",
    "ensure_key",
    "name_findings",
    "table_findings",
]
