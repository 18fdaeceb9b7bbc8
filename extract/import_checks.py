"""What is wrong with the tables that are to be imported: every fault with its file and first row.

The tables are views in DuckDB: `raw_TABLE` as they came, `typed_TABLE` with the types of the schema, `TABLE` complete.
"""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import LakeError
from warehouse.schema import TABLES, Column, Table

NEEDED = {
    "tokens": ("token_index", "document", "target_id"),
    "neuron_tokens": ("neuron", "token_index"),
    "vocabulary": ("token_id", "count"),
}
MEASURES = ("activation", "delta_loss")
# What a missing column is computed from; all else that is missing becomes null.
DERIVED = {
    ("vocabulary", "probability"): "(count::hugeint + 1) / sum(count::hugeint + 1) over ()",
    ("vocabulary", "frequency_rank"): (
        "case when not coalesce(is_special, false) then "
        "row_number() over (partition by coalesce(is_special, false) order by count desc, token_id) end"
    ),
}
# (table, column, table that must hold the value)
_REFERENCES = (
    ("neuron_tokens", "token_index", "tokens"),
    ("residuals", "token_index", "tokens"),
    ("tokens", "target_id", "vocabulary"),
    ("tokens", "token_id", "vocabulary"),
    ("tokens", "document", "documents"),
    ("tokens", "window", "windows"),
    ("windows", "document", "documents"),
    ("neurons", "neuron", "neuron_tokens"),
    ("weights", "neuron", "neuron_tokens"),
    ("neuron_logits", "neuron", "neuron_tokens"),
    ("neuron_logits", "token_id", "vocabulary"),
)
_KEY_OF = {"vocabulary": "token_id", "documents": "document", "windows": "window", "tokens": "token_index"}
# Smallest and largest value of columns that have one. Losses of somebody else's arithmetic may be a little below 0.
_BOUNDS = {
    "loss": ("-1e-3", None),
    "entropy": ("-1e-3", None),
    "sd_activation": ("0", None),
    "in_norm": ("0", None),
    "gate_norm": ("0", None),
    "out_norm": ("0", None),
    "probability": ("0", "1"),
    "frequency_rank": ("1", None),
}
# Columns that hold one of a few words.
_WORDS = {"side": ("in", "gate", "out"), "direction": ("promoted", "suppressed")}
_LISTS = {"residual": "residuals", "weight": "weights"}  # as long in every row


def columns_of(con: duckdb.DuckDBPyConnection, view: str) -> set[str]:
    """Names of the columns of a view."""
    return {row[0] for row in con.execute(f"describe {view}").fetchall()}


def find_faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    """Every fault in a line. Raises `LakeError` naming the file if one is damaged inside."""
    try:
        return _table_faults(con, sources) or [*_reference_faults(con, sources), *_count_faults(con, sources)]
    except duckdb.Error:
        for path in (path for paths in sources.values() for path in paths):
            if reason := _damage(path):
                raise LakeError(f"cannot read {path}: {reason}", hint="the file is damaged: write it again") from None
        raise


def _damage(path: Path) -> str:
    """Why the rows of a Parquet file cannot be read; empty if they can."""
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException) as error:
        return str(error).partition("\n")[0]
    return ""


def _table_faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    """What is wrong within each table: columns, rows, values."""
    found = []
    for name, paths in sources.items():
        given = columns_of(con, f"raw_{name}")
        lacking = [
            column.name
            for column in TABLES[name].columns
            if column.name not in given
            and (name, column.name) not in DERIVED
            and (not column.nullable or column.name in NEEDED.get(name, ()))
        ]
        if name == "neuron_tokens" and not given & set(MEASURES):
            lacking.append(" or ".join(MEASURES))
        if lacking:
            found.append(f"{paths[0].name}: no column {', '.join(lacking)}")
        elif name in NEEDED and not con.execute(f"select 1 from raw_{name} limit 1").fetchall():
            found.append(f"{paths[0].name}: no row")
        elif faults := _value_faults(con, TABLES[name], given):
            found += faults
        elif name != "neuron_tokens" or not _is_grid(con):
            found += _key_faults(con, TABLES[name], given)
    return found


def _is_grid(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether every neuron is there once at every token, by the number and the sum of hashes of its tokens.

    One scan, where the search for equal keys holds every pair; if it finds none, that search says what is wrong.
    """
    of_tokens = "count(*), sum(hash(token_index))"
    different = f"""
        select 1 from (select {of_tokens} from typed_neuron_tokens group by neuron) as found (n, hashes)
        where (n, hashes) is distinct from (select ({of_tokens}) from typed_tokens) limit 1
    """
    return not con.execute(different).fetchall()


def _first(con: duckdb.DuckDBPyConnection, what: str, view: str, condition: str) -> tuple[str, str] | None:
    """(file and row, value of `what`) of the first row of `view` that meets `condition`."""
    row = con.execute(
        f"select filename, file_row_number, ({what})::varchar from {view} where {condition} order by 1, 2 limit 1"
    ).fetchone()
    return (f"{Path(row[0]).name}, row {row[1]}", row[2]) if row else None


def _rules(column: Column) -> list[tuple[str, str, str]]:
    """(view before or after the cast, condition of a fault, what to call it) for a column that is there."""
    name = f'"{column.name}"'
    cast = f"try_cast({name} as {column.type})"
    rules = [("raw", f"{name} is not null and {cast} is null", f"not {column.type}")]
    if column.type in ("INTEGER", "BIGINT"):
        same = f"{cast}::double is not distinct from try_cast({name}::varchar as double)"
        rules += [("raw", f"not ({same})", "not a whole number")]
        rules += [("typed", f"{name} < 0", "below 0")]
    if column.type in ("FLOAT", "DOUBLE"):
        rules += [("typed", f"not isfinite({name})", "not finite")]
    if column.type == "FLOAT[]":
        rules += [("typed", f"len(list_filter({name}, lambda x: x is null or not isfinite(x))) > 0", "not finite")]
    if column.name in _LISTS:
        rules += [
            ("typed", f"len({name}) <> (select min(len({name})) from {_LISTS[column.name]})", "longer than others")
        ]
    low, high = _BOUNDS.get(column.name, (None, None))
    if low is not None:
        rules += [("typed", f"{name} < {low}", f"below {low}")]
    if high is not None:
        rules += [("typed", f"{name} > {high}", f"above {high}")]
    if words := _WORDS.get(column.name):
        rules += [("typed", f"{name} not in {words}", f"not {', '.join(words[:-1])} or {words[-1]}")]
    if not column.nullable or column.name in MEASURES:
        rules += [("typed", f"{name} is null", "needed at every row")]
    return rules


def _value_faults(con: duckdb.DuckDBPyConnection, table: Table, given: set[str]) -> list[str]:
    """The first fault of each column. One scan before the casts and one after say which there are."""
    rules = {column.name: _rules(column) for column in table.columns if column.name in given}
    present = set()
    for kind in ("raw", "typed"):
        conditions = [condition for each in rules.values() for of_kind, condition, _ in each if of_kind == kind]
        present |= {(kind, condition) for condition in _met(con, f"{kind}_{table.name}", conditions)}
    found = []
    for name, each in rules.items():
        for kind, condition, what in each:
            if (kind, condition) in present and (fault := _first(con, f'"{name}"', f"{kind}_{table.name}", condition)):
                value = fault[1] or "null"
                shown = value if len(value) <= 60 else f"{value[:57]}..."
                found.append(f"{fault[0]}: {name} is {shown}, {what}")
                break
    return found


def _met(con: duckdb.DuckDBPyConnection, view: str, conditions: list[str]) -> list[str]:
    """Those of the conditions that a row of `view` meets, in one scan."""
    row = con.execute(f"select {', '.join(f'bool_or({each})' for each in conditions)} from {view}").fetchone()
    assert row is not None
    return [condition for condition, is_met in zip(conditions, row, strict=True) if is_met]


def _key_faults(con: duckdb.DuckDBPyConnection, table: Table, given: set[str]) -> list[str]:
    """The first row whose key, or frequency rank, an earlier row has."""
    found = []
    keys = [tuple(name for name in table.key if name in given)]
    if table.name == "vocabulary" and "frequency_rank" in given:
        keys.append(("frequency_rank",))
    for names in keys:
        key = ", ".join(f'"{name}"' for name in names)
        typed = f"typed_{table.name}"
        repeated = (
            f"(select * from {typed} where ({key}) in (select ({key}) from {typed} where ({key}) is not null "
            f"group by all having count(*) > 1) "
            f"qualify row_number() over (partition by {key} order by filename, file_row_number) = 2)"
        )
        if fault := _first(con, f"({key})", repeated, "true"):
            found.append(f"{fault[0]}: a second row with {', '.join(names)} = {fault[1].strip('()')}")
    return found


def _reference_faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    given = [each for each in _REFERENCES if each[0] in sources and each[2] in sources]
    broken = [
        f'"{column}" is not null and "{column}" not in (select "{_KEY_OF.get(target, "neuron")}" from {target})'
        for _, column, target in given
    ]
    asked = ", ".join(
        f"exists(select 1 from {table} where {each})" for (table, _, _), each in zip(given, broken, strict=True)
    )
    row = con.execute(f"select {asked}").fetchone()
    assert row is not None
    found = []
    for (table, column, target), condition, is_broken in zip(given, broken, row, strict=True):
        if is_broken and (fault := _first(con, f'"{column}"', table, condition)):
            found.append(f"{fault[0]}: {column} {fault[1]} is not in {target}")
    return found


def _count_faults(con: duckdb.DuckDBPyConnection, sources: dict[str, list[Path]]) -> list[str]:
    """Tables that do not have all the rows they should: every neuron at every token, on both sides, of one layer."""
    found = []
    checks = {
        "neuron_tokens": "select 'neuron ' || neuron, count(*), (select count(*) from tokens) from neuron_tokens "
        "group by neuron order by neuron",
        "residuals": "select 'the residual', count(*), (select count(*) from tokens) from residuals",
        "neurons": "select 'a row', count(*), (select count(distinct neuron) from neuron_tokens) from neurons",
        "weights": "select 'side ' || side, count(*), (select count(distinct neuron) from neuron_tokens) from weights "
        "group by side order by side",
    }
    units = dict.fromkeys(checks, "tokens") | {"neurons": "neurons", "weights": "neurons"}
    for name in checks.keys() & sources.keys():
        rows = con.execute(
            f"from ({checks[name]}) as counts (what, n, expected) where n <> expected limit 1"
        ).fetchall()
        found += [f"{name}: {what} is there at {n:,} of {all_:,} {units[name]}" for what, n, all_ in rows]
    for name in {"neurons", "weights", "neuron_logits"} & sources.keys():
        if fault := _first(con, "layer", name, f"layer <> (select min(layer) from {name})"):
            found.append(f"{fault[0]}: layer is {fault[1]}, and another in other rows: a run has one layer")
    if "vocabulary" in sources and "frequency_rank" in columns_of(con, "raw_vocabulary"):
        # ranks are unique and from 1 on: so the largest is their number, or there are gaps
        beyond = "frequency_rank > (select count(frequency_rank) from vocabulary)"
        if fault := _first(con, "frequency_rank", "vocabulary", beyond):
            found.append(f"{fault[0]}: frequency_rank is {fault[1]}, more than there are ranks: ranks have no gaps")
    return sorted(found)
