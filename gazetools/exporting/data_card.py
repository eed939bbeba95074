"""The data card of a Hugging Face folder, and its CITATION.cff."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from gazetools.exporting.about import About, privacy
from gazetools.exporting.declared import columns_of, described
from gazetools.exporting.reading import Tables

_GENERATED = "Written by `gazetools export --to hf`."
_LICENSES = (
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "mit", "pddl", "odbl", "odc-by"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0"),
    *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
)
"""Identifiers of the hub that data sets use; it takes any other licence as "other"."""

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


@dataclass(frozen=True)
class Part:
    """A file of rows: its configuration (table, or "images"), its split, their number."""

    table: str
    split: str
    rows: int


def data_card(tables: Tables, about: About, parts: Sequence[Part], *, has_masks: bool) -> str:
    """Write README.md: YAML for the hub, then a text for people."""
    head = _yaml(_front_matter(about, parts, has_masks=has_masks))
    sections = [
        f"# {_plain(about.name)}",
        _plain(about.description),
        _contents(parts),
        _columns(tables, parts, has_masks=has_masks),
        _sources(tables),
        _personal(tables, about, parts),
        _use(about),
        _GENERATED,
    ]
    return "\n\n".join([f"---\n{head}---", *(section for section in sections if section)]) + "\n"


def _front_matter(about: About, parts: Sequence[Part], *, has_masks: bool) -> dict[str, Any]:
    tables = list(dict.fromkeys(part.table for part in parts))
    main = _main(parts)
    rows = sum(part.rows for part in parts if part.table == main)
    told = {
        "pretty_name": about.name,
        **_license(about),
        "task_categories": ["image-segmentation" if has_masks else "other"],
        "tags": ["eye-tracking", "gaze", main],
        "size_categories": [next((n for most, n in _SIZES if rows < most), "n>1T")],
        "configs": [_config(table, parts, is_main=table == main) for table in tables],
    }
    return {name: value for name, value in told.items() if value}


def _main(parts: Sequence[Part]) -> str:
    """Name the configuration that is loaded where none is named."""
    names = [part.table for part in parts]
    return "fixations" if "fixations" in names else names[0]


def _config(table: str, parts: Sequence[Part], *, is_main: bool) -> dict[str, Any]:
    files = [
        {"split": part.split, "path": f"data/{table}/{part.split}.parquet"}
        for part in parts
        if part.table == table
    ]
    return {"config_name": table, **({"default": True} if is_main else {}), "data_files": files}


def _license(about: About) -> dict[str, str]:
    """Fields of the hub for a licence; without any none."""
    if about.license.lower() in _LICENSES:
        return {"license": about.license.lower()}
    if about.license:
        return {
            "license": "other",
            "license_name": re.sub(r"[^a-z0-9.]+", "-", about.license.lower()).strip("-"),
            **({"license_link": about.license_url} if about.license_url else {}),
        }
    return {"license": "other", "license_name": "terms-of-use"} if about.terms else {}


def _plain(text: str) -> str:
    """Text that stays text where Markdown is made HTML."""
    return html.escape(text, quote=False).strip()


def _code(text: str) -> str:
    """Names, from tables that strangers may have written, as code."""
    plain = "".join(c if c.isprintable() and c not in "`|" else "?" for c in text[:200])
    return f"`{plain.strip() or '?'}`"


def _contents(parts: Sequence[Part]) -> str:
    lines = [
        "## Contents",
        "",
        "| configuration | split | rows |",
        "|---|---|---|",
        *(f"| {part.table} | {part.split} | {part.rows:,} |" for part in parts),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'{_main(parts)} = load_dataset("path/to/this/folder", "{_main(parts)}")',
        "```",
    ]
    return "\n".join(lines)


def _columns(tables: Tables, parts: Sequence[Part], *, has_masks: bool) -> str:
    written = {part.table for part in parts}
    texts = [
        "Times are ms from the start of the trial. Origins are top left; pixel c covers "
        "[c, c + 1), so that its centre is c + 0.5."
    ]
    for schema, table in tables.given():
        if schema.name in written:
            rows = [f"| {c.name} | {c.dtype} | {described(c)} |" for c in columns_of(table, schema)]
            lines = [
                f"### {schema.name}",
                "",
                "| column | type | meaning |",
                "|---|---|---|",
                *rows,
            ]
            texts.append("\n".join(lines))
    if "images" in written:
        mask = " `mask` is its mask, where it has one." if has_masks else ""
        texts.append(
            "### images\n\n`stimulus` is the name as in the other tables, `image` the image, byte "
            f"for byte as it was exported.{mask}"
        )
    return "\n\n".join(["## Columns", *texts])


def _sources(tables: Tables) -> str:
    """Tell what found the fixations; simulated gaze is found out by it."""
    if tables.fixations.empty:
        return ""
    names = sorted(tables.fixations["source"].unique())
    shown = ", ".join(_code(name) for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"## Where fixations come from\n\nThe column `source` says: {shown}{more}."


def _personal(tables: Tables, about: About, parts: Sequence[Part]) -> str:
    texts = [_plain(text) for text in privacy(about, deidentified=tables.deidentified)]
    if any(part.table == "images" for part in parts):
        texts.append(
            "Image files carry whatever their makers wrote into them, names and dates perhaps; "
            "nothing was taken out of them."
        )
    return "\n\n".join(["## Personal and sensitive information", *texts])


def _use(about: About) -> str:
    texts = []
    if about.license or about.terms:
        name = _plain(about.license)
        name = f"[{name}](<{about.license_url}>)" if about.license_url else name
        texts.append("\n\n".join(["## Licence", *filter(None, [name, _plain(about.terms)])]))
    else:
        texts.append("## Licence\n\nNone is stated; ask before you use the data.")
    told = {
        "Made by": "; ".join(about.creators),
        "Published": about.published,
        "Version": about.version,
        "Page": about.url,
    }
    lines = [f"- {name}: {_plain(value)}" for name, value in told.items() if value]
    if lines:
        texts.append("\n".join(lines))
    if about.citations:
        texts.append("\n\n".join(["## Citation", *(_fenced(text) for text in about.citations)]))
    return "\n\n".join(texts)


def _fenced(text: str) -> str:
    """Text as it is, in a fence that it cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def citation_file(about: About) -> str:
    """Write CITATION.cff 1.2.0; what is to be cited stands in its message, in its own words."""
    told = {
        "cff-version": "1.2.0",
        "message": "If you use this data set, please cite: " + "\n\n".join(about.citations),
        "type": "dataset",
        "title": about.name,
        "authors": [_author(about, creator) for creator in about.creators],
        "version": about.version,
        "date-released": about.published,
        "license": about.license if about.has_spdx else "",
        "license-url": "" if about.has_spdx else about.license_url,
        "url": about.url,
    }
    content = {name: value for name, value in told.items() if value}
    return _yaml(content)


def _yaml(content: dict[str, Any]) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _author(about: About, creator: str) -> dict[str, str]:
    person = about.person(creator)
    if person is None:
        return {"name": creator}
    return {"family-names": person[0], "given-names": person[1]}
