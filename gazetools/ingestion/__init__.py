"""Exports to fixations: what to do, doing it in memory or to files, and what was done."""

from gazetools.ingestion.reading import ingest
from gazetools.ingestion.spec import EVENT_SOURCES, Ingested, IngestSpec, IngestSummary
from gazetools.ingestion.writing import ingest_to

__all__ = [
    "EVENT_SOURCES",
    "IngestSpec",
    "IngestSummary",
    "Ingested",
    "ingest",
    "ingest_to",
]
