"""Which file opens which export.

A format is one file of this package: a docstring (vendor, versions seen, raw lines, column
mapping, conversions, what is dropped), a refusal test on the head of a file, a read function
and ``READER``. It is added to the tuple below and to nothing else; tests run over READERS.
"""

from pathlib import Path

from gazetools.errors import FormatError
from gazetools.readers import eyelink_report, gazemedseg, tobii_prolab
from gazetools.readers.delimited import read_head
from gazetools.readers.recording import Reader, Recording

__all__ = ["READERS", "Reader", "Recording", "find_reader", "read"]

READERS: tuple[Reader, ...] = (tobii_prolab.READER, eyelink_report.READER, gazemedseg.READER)


def find_reader(path: Path) -> Reader:
    """Return the one reader that claims a file.

    Raises
    ------
    FormatError
        The file cannot be opened, or not exactly one reader claims it; says what was tried.
    """
    head = read_head(path)
    refusals = {reader.name: reader.refusal(head) for reader in READERS}
    claiming = [reader for reader in READERS if not refusals[reader.name]]
    if len(claiming) == 1:
        return claiming[0]
    if claiming:
        names = ", ".join(reader.name for reader in claiming)
        raise FormatError(f"{path}: claimed by more than one reader ({names}); please report it")
    tried = "; ".join(f"{name}: {why}" for name, why in refusals.items())
    raise FormatError(
        f"{path}: no reader knows this file; tried {tried}. `gazetools formats` lists what is read"
    )


def read(path: Path) -> list[Recording]:
    """Read all recordings of an export, whatever the vendor.

    Raises
    ------
    FormatError
        No reader knows the file, or it is damaged; names the line where that is known.
    """
    path = Path(path)
    return find_reader(path).read(path)
