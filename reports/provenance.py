"""What a report was made from: the runs side by side, and the versions that read them."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from queries import PARAMETERS
from reports.markdown import MISSING, cell, code, escape, rows, significant
from warehouse.connection import frame

_PACKAGES = ("rt-neurons", "duckdb", "polars", "numpy", "scipy", "matplotlib")
# label -> column of `runs`; those that need more than one column are in `_composed`
_FIELDS = {
    "Run": "run",
    "Model": "model",
    "Revision": "revision",
    "Weights (SHA-256)": "model_sha256",
    "Family": "family",
    "Layer": "layer",
    "Neurons (d_mlp)": "d_mlp",
    "Corpus": "corpus",
    "Corpus (SHA-256)": "corpus_sha256",
    "Documents": "n_documents",
    "Windows": "n_windows",
    "Positions": "n_positions",
    "Window": "",
    "Token frequencies": "unigram_source",
    "Rare tokens": "",
    "Rare positions": "n_rare",
    "Common positions": "n_common",
    "Seed of the sample": "seed",
    "Forward pass": "",
    "Origin": "origin",
    "Published (UTC)": "created_at",
    "rt version": "rt_version",
}
_IDS = ("layer", "seed")
_HASHES = ("model_sha256", "corpus_sha256")


def labels(runs: pl.DataFrame) -> dict[str, str]:
    """Run id -> what people call it: model and revision where these tell the runs apart, else the run id too."""
    names = {
        row["run"]: row["model"].rstrip("/").rpartition("/")[2] + (f" {row['revision']}" if row["revision"] else "")
        for row in runs.iter_rows(named=True)
    }
    return {
        run: name if list(names.values()).count(name) == 1 else f"{name} ({run})".strip()
        for run, name in sorted(names.items())
    }


def read_runs(con: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of `runs` with `n_rare` and `n_common`, the positions of each class (null where it cannot be told)."""
    runs = frame(con, "from runs order by run")
    macros = frame(con, "select function_name from duckdb_functions() where function_name = 'token_classes'")
    empty = pl.DataFrame(schema={"run": pl.String, "n_rare": pl.Int64, "n_common": pl.Int64})
    if macros.is_empty():
        return runs.join(empty, on="run", how="left")
    counts = frame(
        con,
        """
        select
            run,
            count(*) filter (where token_class = 'rare') as n_rare,
            count(*) filter (where token_class = 'common') as n_common
        from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by)
        group by run
        """,
        {name: parameters[name] for name in PARAMETERS},
    )
    return runs.join(counts, on="run", how="left").sort("run")


def _window(row: Mapping[str, Any]) -> str:
    if row["context"] is None:
        return MISSING
    bos = {True: ", begins with BOS", False: ", no BOS", None: ""}[row["bos"]]
    skip = "" if row["skip"] is None else f", first {row['skip']} positions left out"
    return f"{row['context']} tokens{bos}{skip}"


def _value(label: str, row: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    column = _FIELDS[label]
    if column in _HASHES:
        return code(row[column][:12]) if row[column] else MISSING
    if column == "run":
        return code(row[column])
    if column:
        return cell(row[column], is_id=column in _IDS)
    if label == "Window":
        return _window(row)
    if label == "Forward pass":
        return escape(", ".join(row[name] for name in ("dtype", "device") if row[name])) or MISSING
    share = significant(100 * parameters["rare_quantile"])
    return f"least frequent {share} % of the vocabulary, by the {escape(str(parameters['rare_by']))} token"


def provenance(runs: pl.DataFrame, names: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
    """The table of runs, one column a run; rows that no run can fill are left out."""
    records = runs.to_dicts()
    body = [[label, *(_value(label, row, parameters) for row in records)] for label in _FIELDS]
    filled = [line for line in body if any(value != MISSING for value in line[1:])]
    header = ["", *(escape(names[row["run"]]) for row in records)]
    return rows(header, filled, right=[False] * len(header))


def versions() -> str:
    """The packages that made the report, those that are installed, in one line."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package.removesuffix('-neurons')} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue  # a source tree that was not installed has no version of its own
    return ", ".join(found)
