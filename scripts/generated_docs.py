"""The parts of README and docs/ that are made from the code; `make docs` writes them, `make check` compares them."""

import typer

import cli
import queries
from warehouse.schema import PASSES, RUN, TABLES


def analyses() -> str:
    """A table of the analyses: slug, question, unit."""
    rows = ["| analysis | question | unit | resampled |", "|---|---|---|---|"]
    for slug in queries.slugs():
        analysis = queries.load(slug)
        name = f"[`{slug}`](docs/methods/{slug}.md)"
        rows.append(f"| {name} | {analysis.question} | {analysis.unit} | {analysis.resampled} |")
    return "\n".join(rows)


def dictionary() -> str:
    """The data dictionary: every table with its grain, columns, types and meanings."""
    parts = []
    for table in TABLES.values():
        added = f" Empty unless `{PASSES[table.of_pass]}` added it." if table.of_pass else ""
        parts += [f"### `{table.name}`", "", f"{table.meaning} Grain: ({', '.join(table.grain)}).{added}", ""]
        parts += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in (RUN, *table.columns):
            null = " May be null." if column.nullable else ""
            parts.append(f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning}{null} |")
        parts.append("")
    return "\n".join(parts).rstrip()


def commands() -> str:
    """Every command with its arguments, options, defaults and examples."""
    group = typer.main.get_command(cli.app)
    context = typer.Context(group, info_name="rt")
    parts = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        parts += [f"## `rt {name}`", "", (command.help or "").strip(), ""]
        parts += ["| argument or option | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            shown = parameter.name.upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)
            empty = parameter.default is None or parameter.default is False or parameter.default in ("", ...)
            default = "" if empty else f"`{_plain(parameter.default)}`"
            if getattr(parameter, "envvar", None):
                default = f"`${parameter.envvar}`, else {default}"
            meaning = " ".join((getattr(parameter, "help", "") or "").split())
            parts.append(f"| `{shown}` | {default} | {meaning} |")
        examples = [line.strip("`") for line in (command.epilog or "").split("\n\n")[1:]]
        parts += ["", "```sh", *examples, "```", ""]
    return "\n".join(parts).rstrip()


def _plain(value: object) -> str:
    return str(getattr(value, "value", value))
