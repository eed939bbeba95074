"""The pages that are made of the code: readers, tables, file formats, commands, Python names.

What they say stands in docstrings, schemas and options; nothing of it is written here again.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import gazetools
import gradtrack_model
from gazetools import tables
from gazetools.cache.sharded import SHARDS
from gazetools.events.ivt import IVT
from gazetools.events.profiles import PROFILES
from gazetools.readers import READERS, generic
from gazetools.readers.recording import Reader
from gradtrack_model.methods import METHODS

FORMATS = (
    # page            title                                module whose docstring tells it
    ("cache", "The cache: maps.h5", "gazetools.cache.layout"),
    ("chunks", "The cache: how chunks are stored", "gazetools.cache.codecs"),
    ("shards", "The cache in shards: a folder", "gazetools.cache.sharded"),
    ("curation", "Decisions: curation.toml", "gazetools.curation"),
    ("profiles", "Settings of a detector: a TOML file", "gazetools.events.profiles"),
    ("dataset", "A dataset of one's own: a TOML file", "gazetools.datasets.definition"),
    ("benchmark", "A benchmark: a TOML file", "gradtrack_model.bench.table"),
    ("run", "The run folder", "gradtrack_model.runs"),
)
EXAMPLES = {"dataset": "my_dataset.toml", "generic": "mapping.toml"}
"""Examples that pages end with."""

OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]*")

TABLES = (
    (tables.FIXATIONS, "`gazetools ingest`"),
    (tables.SAMPLES, "`gazetools ingest --samples`"),
    (tables.SACCADES, "`gazetools ingest --saccades`"),
    (tables.BLINKS, "`gazetools ingest --blinks`"),
    (tables.QUALITY, "`gazetools check -o`"),
)


def write_pages(source: Path) -> None:
    """Write all pages below `source`."""
    pages = [*reader_pages(), *format_pages(), *command_pages(), *python_pages()]
    for name, text in [*pages, ("formats/tables.md", tables_page())]:
        page = source / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- docstrings as pages


def told(module: ModuleType) -> tuple[str, str]:
    """Return the first sentence of a module's docstring, and the rest as reStructuredText."""
    summary, _, rest = inspect.getdoc(module).partition("\n\n")
    return " ".join(summary.split()), "\n".join(_with_tables(rest.splitlines()))


def _with_tables(lines: Sequence[str]) -> Iterator[str]:
    """Make tables of indented lines that begin with a name in double backquotes.

    A docstring aligns their columns by blanks, which reStructuredText takes for one paragraph.
    """
    row = re.compile(r"(\s+)(``[^`]+``(?:\s{2,}\S.*)?)$")
    inside = ""
    for line in lines:
        if found := row.match(line):
            if not inside:
                inside = found[1]
                yield from (f"{inside}.. list-table::", f"{inside}   :class: columns", "")
            mark = "*"
            for cell in re.split(r"\s{2,}", found[2]):
                yield f"{inside}   {mark} - {cell}"
                mark = " "
        elif inside and line.startswith(f"{inside} "):
            yield f"{inside}       {line.strip()}"
        else:
            inside = ""
            yield line


def heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def example(page: str) -> str:
    if page not in EXAMPLES:
        return ""
    file = EXAMPLES[page]
    shown = f".. literalinclude:: /examples/{file}\n   :language: toml\n"
    return f"\n{heading(f'Example: {file}', '-')}\n{shown}"


# ---------------------------------------------------------------- readers


def reader_pages() -> Iterator[tuple[str, str]]:
    """One page for each reader, and their list."""
    every = (*READERS, generic.READER)
    for reader in every:
        yield f"readers/{reader.name}.rst", reader_page(reader)
    cells = ((_plain(_title(r)), r.name, ", ".join(r.yields)) for r in every)
    rows = "".join(
        f"| [{title}]({name}.rst) | `{name}` | {holds} |\n" for title, name, holds in cells
    )
    names = "\n".join(reader.name for reader in every)
    yield (
        "readers/index.md",
        "# Readers\n\n"
        "`gazetools inspect FILE` says which of them a file is for, and `gazetools ingest` finds "
        "that out by itself. Each page tells which versions were seen, what a file looks like, "
        "which column becomes which, and what is dropped.\n\n"
        f"| export | name | holds |\n|---|---|---|\n{rows}\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
    )


def _title(reader: Reader) -> str:
    return reader.title[0].upper() + reader.title[1:]


def reader_page(reader: Reader) -> str:
    module = inspect.getmodule(reader.refusal)
    summary, rest = told(module)
    facts = {
        "name": f"``{reader.name}``",
        "versions seen": reader.versions,
        "holds": ", ".join(reader.yields),
        "events": f"``{reader.profile}``: :doc:`/methods/events`",
        "trials": "runs of a stimulus" + (", or ``--trial-from``" if reader.has_messages else ""),
    }
    table = list_table([tuple(facts), tuple(facts.values())])
    title = OPTION.sub(r"``\g<0>``", _title(reader))
    # most pages would begin by saying their title again
    summary = "" if summary.rstrip(".").startswith(reader.title) else f"{summary}\n\n"
    return (
        f"{heading(title)}\n.. py:module:: {module.__name__}\n\n"
        f"{summary}{table}\n{rest}\n{example(reader.name)}"
    )


# ---------------------------------------------------------------- file formats


def format_pages() -> Iterator[tuple[str, str]]:
    """One page for each file format that a docstring specifies."""
    for page, title, name in FORMATS:
        summary, rest = told(import_module(name))
        more = {"shards": rst_table(SHARDS), "profiles": ivt_profiles()}.get(page, "")
        yield (
            f"formats/{page}.rst",
            f"{heading(title)}\n.. py:module:: {name}\n\n{summary}\n\n{rest}\n"
            f"\n{more}{example(page)}",
        )


def ivt_profiles() -> str:
    """Tell in which settings the profiles of I-VT differ."""
    chosen = {name: vars(found) for name, found in PROFILES.items() if isinstance(found, IVT)}
    rows = [("setting", *chosen)]
    for setting in vars(IVT()):
        values = [str(settings[setting]) for settings in chosen.values()]
        if len(set(values)) > 1:
            rows.append((f"``{setting}``", *values))
    return f"{heading('Where the profiles of I-VT differ', '-')}\n{list_table(rows)}"


def tables_page() -> str:
    """Declare the columns of all tables."""
    parts = [
        f"# Tables: Parquet (version {tables.TABLE_VERSION})\n",
        "Every stage that is a table is a Parquet file, which pandas, polars, R and DuckDB open. "
        "Its footer holds, under the key `gazetools`, JSON with the name of the table, its "
        "version and how it was made. A table that another tool wrote is welcome if its columns "
        "are these; further columns are kept.\n",
        "Times are in ms from the start of the trial, positions have their origin at the top "
        "left and y points down, and the centre of pixel c is at c + 0.5. What is not known is "
        f"null, never 0. Events are one of {', '.join(f'`{event}`' for event in tables.EVENTS)}.\n",
    ]
    for schema, by in TABLES:
        parts += [f"## {schema.name}\n", f"Written by {by}.\n", "```{eval-rst}", rst_table(schema)]
        parts += ["```\n"]
    return "\n".join(parts)


def rst_table(schema: tables.Schema) -> str:
    rows = [("column", "type", "unit", "there", "what it is")]
    for column in schema.columns:
        there = "" if column.required else "optional"
        null = "may be null" if column.nullable else ""
        rows.append(
            (
                f"``{column.name}``",
                column.dtype,
                column.unit,
                ", ".join(filter(None, (there, null))) or "always",
                column.doc.replace("*", r"\*"),
            )
        )
    return list_table(rows, "schema")


def list_table(rows: Sequence[Sequence[str]], style: str = "columns") -> str:
    body = "".join("   * - " + "\n     - ".join(row) + "\n" for row in rows)
    return f".. list-table::\n   :header-rows: 1\n   :class: {style}\n\n{body}"


# ---------------------------------------------------------------- commands


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that is installed, and those of `gazetools` one by one."""
    for point in distribution("gazetools").entry_points.select(group="console_scripts"):
        command = point.load()
        if isinstance(command, click.Group):
            yield from ((f"{point.name} {name}", sub) for name, sub in command.commands.items())
        else:
            yield point.name, command


def command_pages() -> Iterator[tuple[str, str]]:
    """One page for each command, with those below it, and their list."""
    rows, names = "", ""
    for name, command in commands():
        page = name.removeprefix("gazetools ")
        yield f"commands/{page}.md", command_section(name, command, "#")
        rows += f"| [`{name}`]({page}.md) | {command.get_short_help_str(120)} |\n"
        names += f"{page}\n"
    yield (
        "commands/index.md",
        "# Commands\n\nEvery command explains itself with `--help`; these pages are that help. "
        "Results go to stdout, progress to stderr. What is wrong with an input is told in one "
        "line, with exit code 1; what was typed wrong has exit code 2. Outputs are whole or not "
        "there, and existing ones are refused without `--overwrite`.\n\n"
        f"| command | what it does |\n|---|---|\n{rows}\n"
        f"```{{toctree}}\n:hidden:\n\n{names}```\n",
    )


def command_section(name: str, command: click.Command, level: str) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"{level} {name}", *_help(command.help or ""), f"```text\n{usage}\n```"]
    parts += [f"`{names}`\n: {_plain(about)}" for names, about in _options(command, context)]
    if isinstance(command, click.Group):
        parts += [
            command_section(f"{name} {sub}", below, f"{level}#")
            for sub, below in command.commands.items()
        ]
    return "\n\n".join(parts) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[1] and "--help" not in record[0]:
            yield record


def _help(text: str) -> Iterator[str]:
    r"""Give the paragraphs of a help text as Markdown; those that \b begins are code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b\n"):
            yield _plain(paragraph)
            continue
        first, *lines = paragraph.removeprefix("\b\n").splitlines()
        yield _plain(first)
        yield "```sh\n" + inspect.cleandoc("\n".join(lines)) + "\n```"


def _plain(text: str) -> str:
    """Keep Markdown from seeing marks in what is written for a terminal; options are code."""
    parts = re.split("(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return OPTION.sub(r"`\g<0>`", re.sub(r"([\\`*_<>\[\]{}#|$~^])", r"\\\1", text))


# ---------------------------------------------------------------- Python


def python_pages() -> Iterator[tuple[str, str]]:
    """One page for each of the two packages."""
    homes: dict[str, list[str]] = {}
    for name in gazetools.__all__:
        homes.setdefault(gazetools._HOME[name], []).append(name)
    text = heading("gazetools") + "\n" + inspect.getdoc(gazetools) + "\n"
    for home in homes:
        summary, _ = told(import_module(f"gazetools.{home}"))
        described = "\n".join(described_name("gazetools", name) for name in homes[home])
        text += f"\n{heading(home.capitalize(), '-')}\n{summary}\n\n{described}"
    errors = ".. automodule:: gazetools.errors\n   :members:\n   :exclude-members: GazeToolsError\n"
    yield "python/gazetools.rst", f"{text}\n{heading('All errors', '-')}\n{errors}"
    yield "python/gradtrack_model.rst", model_page()


def described_name(package: str, name: str) -> str:
    """Ask autodoc for a name; tables have a page of their own."""
    found = getattr(import_module(package), name)
    if isinstance(found, tables.Schema):
        return f".. py:data:: {package}.{name}\n\n   See :doc:`/formats/tables`.\n"
    kind = "class" if inspect.isclass(found) else "function" if callable(found) else "data"
    kind = "exception" if kind == "class" and issubclass(found, Exception) else kind
    more = {"class": "   :members:\n", "data": "   :no-value:\n"}.get(kind, "")
    return f".. auto{kind}:: {package}.{name}\n{more}"


def model_page() -> str:
    names = [name for name in gradtrack_model.__all__ if name not in ("METHODS", "PRESETS")]
    names += ["evaluate.evaluate", "predict.predict", "joining.join"]
    text = heading("gradtrack_model") + "\n" + inspect.getdoc(gradtrack_model) + "\n\n"
    text += "\n".join(_model_name(name) for name in names)
    rows = "".join(f"``{name}``\n    {_first(method)}\n\n" for name, method in METHODS.items())
    text += f"\n.. py:data:: gradtrack_model.METHODS\n\n   The methods by name.\n\n{_indent(rows)}"
    return (
        f"{text}\n.. py:module:: gradtrack_model.config\n\n.. autodata:: PRESETS\n   :no-value:\n"
    )


def _model_name(name: str) -> str:
    module, _, attribute = f"gradtrack_model.{name}".rpartition(".")
    return described_name(module, attribute)


def _first(method: Any) -> str:
    return " ".join(told(inspect.getmodule(type(method)))[0].split())


def _indent(text: str) -> str:
    return "".join(f"   {line}\n" if line else "\n" for line in text.splitlines())
