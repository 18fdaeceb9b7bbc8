"""What a report was made from: the runs side by side, the positions that were used, and the versions that read them."""

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from queries import PARAMETERS
from queries.stats.words import counted
from reports.markdown import MISSING, cell, code, escape, rows, significant
from warehouse.connection import frame

_PACKAGES = ("rt-neurons", "duckdb", "polars", "numpy", "scipy", "matplotlib")
# label -> column of `runs`; those that need more than one column, or the manifest, see below
_FIELDS = {
    "Run": "run",
    "Model": "",
    "Weights": "model_note",
    "Revision": "revision",
    "Weights (SHA-256)": "model_sha256",
    "Family": "family",
    "Layer": "layer",
    "Neurons (d_mlp)": "d_mlp",
    "Corpus": "",
    "Corpus (SHA-256)": "corpus_sha256",
    "Token frequencies": "unigram_source",
    "Rare tokens": "",
    "Documents used": "",
    "Positions used": "",
    "Rare positions": "",
    "Common positions": "",
    "Windows": "n_windows",
    "Window": "",
    "Seed of the sample": "seed",
    "Forward pass": "",
    "Self-check errors": "",
    "Optional passes": "",
    "Origin": "origin",
    "Published (UTC)": "created_at",
    "rt version": "rt_version",
}
_IDS = ("layer", "seed")
_HASHES = ("model_sha256", "corpus_sha256")
# what the model proved about itself before anything was written: words, the manifest's name, unit
_CHECKS = (
    ("closed form against hooked forward passes", "closed form, nats", " nats"),
    ("logits", "float64 logits against the model's own", ""),
    ("sum of the residual", "residual is input + attention + MLP", ""),
)
_SHORT = 8  # characters of a run's id that people see


@dataclass(frozen=True)
class Source:
    """What the command line chose, beside the lake: runs and positions.

    `manifests` is by run id, each with those of its optional passes under `passes`. `checkpoints` are the runs that
    analyses over training steps see, where these are more than `runs`; `is_last`: `runs` were not named, but are what
    is left without the earlier checkpoints of sweeps.
    """

    where: str = ""
    runs: tuple[str, ...] = ()
    manifests: Mapping[str, Mapping[str, Any]] | None = None
    checkpoints: tuple[str, ...] = ()
    is_last: bool = False

    @property
    def condition(self) -> str:
        """The choice of runs and positions as one SQL condition on `tokens`; empty where nothing was left out."""
        return self.condition_of(over_steps=False)

    def condition_of(self, over_steps: bool) -> str:
        """`condition`, or that for analyses over training steps."""
        runs = self.checkpoints or self.runs if over_steps else self.runs
        chosen = ", ".join("'" + run.replace("'", "''") + "'" for run in runs)
        parts = [f"({self.where})"] if self.where else []
        return " and ".join([*parts, *([f"run in ({chosen})"] if chosen else [])])


def _model(row: Mapping[str, Any]) -> str:
    """The model as people call it, with its revision."""
    name: str = row.get("model_title") or row["model"].rstrip("/").rpartition("/")[2]
    return name + (f" {row['revision']}" if row["revision"] else "")


def labels(runs: pl.DataFrame) -> dict[str, str]:
    """Run id -> what people call it: model, revision, the seed where that tells runs apart, and the short run id."""
    models = {row["run"]: (_model(row), row["seed"]) for row in runs.iter_rows(named=True)}
    names = {}
    for run, (model, seed) in sorted(models.items()):
        same = [each for each, (other, _) in models.items() if other == model]
        seeds = {models[each][1] for each in same}
        short = run[:_SHORT] if sum(each.startswith(run[:_SHORT]) for each in models) == 1 else run
        names[run] = f"{model}{f' seed {seed}' if len(seeds) > 1 else ''} ({short})"
    return names


def read_runs(con: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of `runs` with what the report used of them: documents and positions, of each class and in all.

    Columns `used_documents`, `used_positions`, and `rare_` and `common_` likewise; null where it cannot be told.
    """
    runs = frame(con, "from runs order by run")
    used = frame(
        con,
        "select run, count(distinct document) as used_documents, count(*) as used_positions from tokens group by run",
    )
    classes = pl.DataFrame(schema={"run": pl.String, **dict.fromkeys(_CLASS_COLUMNS, pl.Int64)})
    if not frame(con, "select 1 from duckdb_functions() where function_name = 'token_classes' limit 1").is_empty():
        classes = frame(con, _CLASSES, {name: parameters[name] for name in PARAMETERS})
    return runs.join(used, on="run", how="left").join(classes, on="run", how="left").sort("run")


_CLASS_COLUMNS = ("rare_documents", "rare_positions", "common_documents", "common_positions")
_CLASSES = """
select
    run,
    count(distinct document) filter (where token_class = 'rare') as rare_documents,
    count(*) filter (where token_class = 'rare') as rare_positions,
    count(distinct document) filter (where token_class = 'common') as common_documents,
    count(*) filter (where token_class = 'common') as common_positions
from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by)
group by run
"""


def _window(row: Mapping[str, Any]) -> str:
    if row["context"] is None:
        return MISSING
    bos = {True: ", begins with BOS", False: ", no BOS", None: ""}[row["bos"]]
    skip = "" if row["skip"] is None else f", first {counted(row['skip'], 'position')} left out"
    return f"{counted(row['context'], 'token')}{bos}{skip}"


def _used(row: Mapping[str, Any], what: str) -> str:
    """`5 of the 8 of the run`, or `all 8`."""
    used, there = row[f"used_{what}"] or 0, row[f"n_{what}"]
    return f"all {there:,}" if used == there else f"{used:,} of the {there:,} of the run"


def _of_class(row: Mapping[str, Any], token_class: str) -> str:
    positions, documents = (row[f"{token_class}_{what}"] for what in ("positions", "documents"))
    return MISSING if positions is None else f"{positions:,} in {counted(documents, 'document')}"


def _titled(title: str | None, name: str) -> str:
    """What the run calls a thing, and the name that was asked for."""
    return f"{escape(title)} (`{name}`)" if title and title != name else escape(name)


def _self_check(manifest: Mapping[str, Any]) -> str:
    """The measured errors of the run, the largest of each kind."""
    errors = manifest.get("self_check") or {}
    found = [f"{words} {significant(errors[name])}{unit}" for words, name, unit in _CHECKS if name in errors]
    pairs = f" ({counted(round(errors['pairs']), 'pair')} of token and neuron)" if "pairs" in errors else ""
    return f"{', '.join(found)}{pairs}" if found else MISSING


def _passes(manifest: Mapping[str, Any]) -> str:
    """The optional passes of the run, each with its settings."""
    found = []
    for name, of_pass in (manifest.get("passes") or {}).items():
        settings = {key: value for key, value in of_pass["identity"].items() if key not in ("version", "extraction")}
        said = [f"{key.replace('_', ' ')} {_plain(value)}" for key, value in settings.items() if value not in ("", [])]
        found.append(f"{name} ({', '.join(said)})")
    return escape("; ".join(found)) or MISSING


def _plain(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def rare_tokens(parameters: Mapping[str, Any]) -> str:
    """What counts as a rare token."""
    share = significant(100 * parameters["rare_quantile"])
    return f"least frequent {share} % of the vocabulary, by the {escape(str(parameters['rare_by']))} token"


# labels whose cells more than one column goes into
_COMPOSED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Model": lambda row: _titled(row.get("model_title"), row["model"]),
    "Corpus": lambda row: _titled(row.get("corpus_title"), row["corpus"]),
    "Window": _window,
    "Forward pass": lambda row: escape(", ".join(row[name] for name in ("dtype", "device") if row[name])) or MISSING,
    "Documents used": lambda row: _used(row, "documents"),
    "Positions used": lambda row: _used(row, "positions"),
    "Rare positions": lambda row: _of_class(row, "rare"),
    "Common positions": lambda row: _of_class(row, "common"),
}


_OF_MANIFEST = {"Self-check errors": _self_check, "Optional passes": _passes}


def _value(label: str, row: Mapping[str, Any], parameters: Mapping[str, Any], source: Source) -> str:
    column = _FIELDS[label]
    if label == "Rare tokens":
        return rare_tokens(parameters)
    if label in _OF_MANIFEST:
        return _OF_MANIFEST[label]((source.manifests or {}).get(row["run"], {}))
    if not column:
        return _COMPOSED[label](row)
    if column in _HASHES:
        return code(row[column][:12]) if row[column] else MISSING
    if column == "run":
        return code(row[column])
    return cell(row.get(column), is_id=column in _IDS)


def provenance(runs: pl.DataFrame, names: Mapping[str, str], parameters: Mapping[str, Any], source: Source) -> str:
    """The runs side by side, or of a single one a list, which reads better; what no run can fill is left out."""
    records = runs.to_dicts()
    body = [[label, *(_value(label, row, parameters, source) for row in records)] for label in _FIELDS]
    filled = [line for line in body if any(value != MISSING for value in line[1:])]
    if len(records) == 1:
        return "\n".join(f"- {label}: {value}" for label, value in filled)
    header = ["", *(escape(names[row["run"]]) for row in records)]
    return rows(header, filled, right=[False] * len(header))


def choices(seed: int, parameters: Mapping[str, Any], source: Source) -> str:
    """What the command line chose, as a list: everything that another number of this report could come from."""
    runs = ", ".join(map(code, source.runs)) or "all of the lake"
    if source.is_last:
        runs = f"of each sweep the last checkpoint, and all runs outside any: {runs}"
    if source.checkpoints:
        runs += f"; over training steps {counted(len(source.checkpoints), 'run')}"
    return "\n".join(
        [
            f"- Positions (`--where`): {code(source.where) if source.where else 'all that were analysed'}",
            f"- Runs (`--run`): {runs}",
            f"- Rare tokens (`--rare-quantile`, `--rare-by`): {significant(parameters['rare_quantile'])}, "
            f"{escape(str(parameters['rare_by']))}",
            f"- Seed of the analyses (`--seed`): {seed}",
            f"- Made with {versions()}",
        ]
    )


def lead(runs: pl.DataFrame, names: Mapping[str, str]) -> str:
    """One sentence per run: what was measured, on how much."""
    lines = []
    for row in runs.iter_rows(named=True):
        layer = "" if row["layer"] is None else f" of layer {row['layer']}"
        rare = "" if row["rare_positions"] is None else f", {row['rare_positions']:,} of them of rare tokens"
        lines.append(
            f"{escape(names[row['run']])}: the {counted(row['d_mlp'], 'neuron')}{layer}, each set to its mean at "
            f"{counted(row['used_positions'] or 0, 'position')} of {counted(row['used_documents'] or 0, 'document')}"
            f"{rare}; corpus: {escape(row.get('corpus_title') or row['corpus'])}."
        )
    return "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else "".join(lines)


def sizes(runs: pl.DataFrame, names: Mapping[str, str]) -> str:
    """Of what the figures are: documents and positions of each run, for their captions."""
    parts = []
    for row in runs.iter_rows(named=True):
        classes = [
            f"{row[f'{name}_positions']:,} {name}"
            for name in ("rare", "common")
            if row[f"{name}_positions"] is not None
        ]
        detail = f" ({' and '.join(classes)})" if classes else ""
        parts.append(
            f"{escape(names[row['run']])}: {counted(row['used_documents'] or 0, 'document')}, "
            f"{counted(row['used_positions'] or 0, 'position')}{detail}"
        )
    return f"Data: {'; '.join(parts)}." if parts else ""


def versions() -> str:
    """The packages that made the report, those that are installed, in one line."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package.removesuffix('-neurons')} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue  # a source tree that was not installed has no version of its own
    return ", ".join(found)
