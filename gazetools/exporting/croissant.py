"""Croissant 1.1: what tables hold, for machines, beside the tables.

A folder with ``croissant.json`` (JSON-LD) and one Parquet file for each table. Every file has its
SHA-256; every table is a record set, every declared column a field with its type and its
description from :mod:`gazetools.tables`. The standard has no place for units: they stand in the
description and as schema.org's ``unitText``.

The standard (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) requires name,
description, license, url, creator and date of publication; mlcroissant 1.1 warns of only some of
them. What is missing is asked for here. The note on privacy is ``personalSensitiveInformation``
of the RAI vocabulary 1.0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import ConfigError, SchemaError
from gazetools.exporting.about import About, privacy
from gazetools.exporting.cells import json_bytes
from gazetools.exporting.declared import columns_of, described, write_declared
from gazetools.exporting.exported import Exported, LeftOut, undeclared
from gazetools.exporting.folders import listed_folder
from gazetools.exporting.reading import Tables
from gazetools.files import file_sha256
from gazetools.tables import Column, Schema

_JSON = "croissant.json"
_REQUIRED = ("license", "url", "creators", "published")
_PARQUET = "application/x-parquet"
"""The type that mlcroissant reads; the one that IANA registered since is unknown to it."""

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""As mlcroissant writes it: it warns of any other."""

_TYPES = {
    "str": "sc:Text",
    "int64": "sc:Integer",
    "Int64": "sc:Integer",
    "float64": "sc:Float",
    "bool": "sc:Boolean",
}


def export_croissant(
    tables: Tables, out: Path, about: About, *, overwrite: bool = False
) -> Exported:
    """Write tables and their description as a new folder.

    Raises
    ------
    ConfigError
        Something is not said of the data set that Croissant requires.
    SchemaError
        There is no table with rows.
    OutputError
        The folder exists, is not as we wrote it if it is to be replaced, or cannot be written.
    """
    missing = [name for name in _REQUIRED if not getattr(about, name)]
    if missing and not (missing == ["license"] and about.terms):
        raise ConfigError(
            f"Croissant requires {', '.join(missing)}; say so with --set {missing[0]}=..., or in "
            "the TOML of --about"
        )
    given = list(tables.given())
    if not given:
        raise SchemaError("no table has rows; there is nothing to export")
    left_out: list[LeftOut] = []
    with listed_folder(out, overwrite=overwrite) as folder:
        files = []
        for schema, table in given:
            path = folder / f"{schema.name}.parquet"
            write_declared(table, path, schema)
            files.append(_file_object(path))
            left_out += undeclared(table, schema)
        told = _dataset(tables, about)
        told["distribution"] = files
        told["recordSet"] = [_record_set(schema, table) for schema, table in given]
        (folder / _JSON).write_bytes(json_bytes(told))
    rows = {schema.name: len(table) for schema, table in given}
    return Exported(len(given) + 1, rows, tuple(left_out))


def _dataset(tables: Tables, about: About) -> dict[str, Any]:
    told = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": about.name,
        "description": about.description or _counted(tables),
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "license": _license(about),
        "url": about.url,
        "creator": [_creator(about, creator) for creator in about.creators],
        "datePublished": about.published,
        "version": about.version,
        "citeAs": "\n\n".join(about.citations),
        "keywords": ["eye tracking", "gaze"],
        "rai:personalSensitiveInformation": list(privacy(about, deidentified=tables.deidentified)),
    }
    return {name: value for name, value in told.items() if value}


def _counted(tables: Tables) -> str:
    """Describe a data set by what can be counted in it."""
    given = list(tables.given())
    rows = ", ".join(f"{len(table):,} {schema.name}" for schema, table in given)
    who = pd.concat([table[["subject", "stimulus"]] for _, table in given])
    return (
        f"Eye tracking: {rows}; participants: {who['subject'].nunique():,}, "
        f"stimuli: {who['stimulus'].nunique():,}."
    )


def _license(about: About) -> list[Any]:
    is_named = about.license and not about.license_url  # LicenseRef-..., which has no page
    name = about.license if is_named else "Terms of use"
    terms = {"@type": "sc:CreativeWork", "name": name, "description": about.terms}
    return [part for part in (about.license_url, terms if about.terms else None) if part]


def _creator(about: About, creator: str) -> dict[str, str]:
    person = about.person(creator)
    if person is None:
        return {"@type": "sc:Organization", "name": creator}
    family, given = person
    name = f"{given} {family}"
    return {"@type": "sc:Person", "name": name, "familyName": family, "givenName": given}


def _file_object(path: Path) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _PARQUET,
        "sha256": file_sha256(path),
    }


def _record_set(schema: Schema, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": schema.name,
        "name": schema.name,
        "description": f"One record is one row of the table of {schema.name}.",
        "field": _fields(schema.name, columns_of(table, schema)),
    }


def _fields(table: str, columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:Field",
            "@id": f"{table}/{column.name}",
            "name": column.name,
            "description": described(column),
            "dataType": _TYPES[column.dtype],
            **({"unitText": column.unit} if column.unit else {}),
            "source": {
                "fileObject": {"@id": f"{table}.parquet"},
                "extract": {"column": column.name},
            },
        }
        for column in columns
    ]
