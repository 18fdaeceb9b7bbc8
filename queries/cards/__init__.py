"""Everything that is known of single neurons: rows of the analyses, top contexts, promoted tokens, partners.

A card describes one neuron for people who look before they count; it tests nothing. What it repeats from an analysis is
that analysis's row, with the same seed the same numbers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from queries import Session, load
from queries.needs import extraction, importable, missing
from warehouse.connection import frame
from warehouse.errors import QueryError

FOLDER = Path(__file__).parent
# Part of a card -> the analysis whose rows of the neuron it holds.
ANALYSES = {
    "influence": "influence",
    "stability": "plateau_stability",
    "contrast": "rare_contrast",
    "path": "confidence_neurons",
}
NEEDED = ("influence", "plateau_stability", "rare_contrast")  # for the cards of a report
# Part of a card -> why its SQL found no row of the neuron.
_ABSENT = {
    "contexts": "no position with its activation or the change of the loss",
    "partners": "no activations, or none that vary",
    "logits": "this run does not hold the tokens that its neurons promote: `rt extract` stores them with a new run, "
    "`rt import` takes them as the table `neuron_logits`",
    "facts": "this run holds no table of neurons",
    "layer": "no pass over layers has read this layer: `rt extract --layers all` adds it to an extracted run",
}
_AT_ONCE = 10  # neurons: what `partners.sql` holds side by side
_NAME = re.compile(r"(?:L(\d+)\s*N)?\s*N?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """How much of each part a card has: rows, tokens of text before and after a position, token types."""

    n_contexts: int
    n_before: int
    n_after: int
    n_partners: int
    n_logits: int
    n_types: int


WHOLE = Size(n_contexts=10, n_before=24, n_after=8, n_partners=10, n_logits=20, n_types=10)
GLANCE = Size(n_contexts=3, n_before=12, n_after=4, n_partners=3, n_logits=8, n_types=5)


@dataclass(frozen=True)
class Measured:
    """Which neurons a run has: their layer, if it is known, how many, and the first and the last; `is_gated`."""

    run: str
    layer: int | None
    n_neurons: int
    first: int
    last: int
    is_gated: bool
    has_weights: bool

    def name(self, neuron: int) -> str:
        """`L29N1326`, or `N1326` where the layer is not known."""
        return f"N{neuron}" if self.layer is None else f"L{self.layer}N{neuron}"


@dataclass(frozen=True)
class Card:
    """One neuron: a table for every part that has rows, for every other the reason in `absent`.

    `influence` and `stability`: one row per token class; `contrast`, `path`: as their analyses give them; `contexts`,
    `partners`, `logits`, `facts`, `layer`: as the SQL files of this folder do.
    """

    of: Measured
    neuron: int
    tables: dict[str, pl.DataFrame]
    absent: dict[str, str]

    @property
    def name(self) -> str:
        """`L29N1326`."""
        return self.of.name(self.neuron)

    def row(self, part: str, **where: Any) -> dict[str, Any]:
        """The first row of a part that has these values; empty where there is none."""
        if part not in self.tables:
            return {}
        rows = self.tables[part].filter(*(pl.col(name) == value for name, value in where.items()))
        return rows.row(0, named=True) if rows.height else {}

    def p_floors(self, part: str) -> tuple[float, ...]:
        """The smallest p-values that the draws of the analysis behind a part allow."""
        return load(ANALYSES[part]).p_floors

    @property
    def spectra_group(self) -> str:
        """The group whose weights `spectra` measures it with: its regime on rare tokens; empty where it is in none."""
        found = self.row("stability", token_class="rare")
        in_group = found and self.of.has_weights and (found["is_core"] or found["regime"] != "plateau")
        return str(found["regime"] or "") if in_group else ""


def measured(con: duckdb.DuckDBPyConnection, run: str) -> Measured:
    """The neurons of a run."""
    row = frame(con, (FOLDER / "measured.sql").read_text(encoding="utf-8"), {"run": run}).row(0, named=True)
    return Measured(run, **row)


def find_neuron(of: Measured, text: str) -> int:
    """The neuron that `L29N1326` or `1326` names. Raises `QueryError` for what names none, or one of another layer."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        raise QueryError(f"{text!r} names no neuron", hint=f"for example {of.name(of.last)} or {of.last}")
    layer, neuron = found[1], int(found[2])
    if layer is not None and of.layer is None:
        raise QueryError(f"{of.run} does not say which layer it is of, {text} does", hint=f"ask for {neuron}")
    if layer is not None and int(layer) != of.layer:
        raise QueryError(
            f"{of.run} has the neurons of layer {of.layer}, not of layer {int(layer)}",
            hint="of other layers there is what `rt extract --layers` keeps: "
            f'rt sql "from layer_neurons where layer = {int(layer)} and neuron = {neuron}", and layer_contexts',
        )
    if not of.first <= neuron <= of.last:
        raise QueryError(f"no neuron {neuron} in {of.run}", hint=f"neurons: {of.first} to {of.last}")
    return neuron


def leaders(session: Session, run: str, n: int = 10) -> list[int]:
    """The `n` most influential neurons of the plateau of a run, on rare tokens; none where there is no segmentation."""
    table = session.table(load("plateau_stability"))
    of_plateau = table.filter(pl.col("run") == run, pl.col("token_class") == "rare", pl.col("regime") == "plateau")
    return of_plateau.sort("rank").head(n)["neuron"].to_list()


def cards(session: Session, of: Measured, neurons: Sequence[int], size: Size = WHOLE) -> list[Card]:
    """The cards of some neurons of one run, in their order. Raises `QueryError` for a neuron that is not there."""
    tables, absent = {}, {}
    for part, slug in ANALYSES.items():
        tables[part], absent[part] = _of_analysis(session, slug, of.run, neurons)
    parameters = {**vars(size), "run": of.run, "layer": of.layer}
    parts = [list(neurons[start : start + _AT_ONCE]) for start in range(0, len(neurons), _AT_ONCE)]
    for part, reason in _ABSENT.items():
        sql = (FOLDER / f"{part}.sql").read_text(encoding="utf-8")
        named = {name: value for name, value in parameters.items() if f"${name}" in sql}
        tables[part] = pl.concat(frame(session.con, sql, {**named, "neurons": each}) for each in parts)
        absent[part] = reason
    tables["partners"] = tables["partners"].join(
        _regimes(session, of.run), on="partner", how="left", maintain_order="left"
    )
    return [_card(of, neuron, tables, absent) for neuron in neurons]


def _regimes(session: Session, run: str) -> pl.DataFrame:
    """`partner`, `regime` and `rank` of every neuron of a run, on rare tokens; no rows where that is not known."""
    analysis = load(ANALYSES["stability"])
    if missing(session.con, analysis):
        return pl.DataFrame(schema={"partner": pl.Int32, "regime": pl.String, "influence_rank": pl.Int64})
    rare = session.table(analysis).filter(pl.col("run") == run, pl.col("token_class") == "rare")
    return rare.select(partner=pl.col("neuron").cast(pl.Int32), regime="regime", influence_rank="rank")


def _card(of: Measured, neuron: int, tables: dict[str, pl.DataFrame], absent: dict[str, str]) -> Card:
    """The rows of one neuron."""
    own = {part: table.filter(pl.col("neuron") == neuron) for part, table in tables.items()}
    if own["contexts"].is_empty():
        raise QueryError(f"no neuron {neuron} in {of.run}", hint=f"neurons: {of.first} to {of.last}, not all are there")
    present = {part: table for part, table in own.items() if table.height}
    return Card(of, neuron, present, {part: reason for part, reason in absent.items() if part not in present})


def _of_analysis(session: Session, slug: str, run: str, neurons: Sequence[int]) -> tuple[pl.DataFrame, str]:
    """The rows of an analysis about the neurons, and why there is none if there is none."""
    analysis = load(slug)
    if lacking := missing(session.con, analysis):
        how = f"`{extraction(lacking)}` measures them{', `rt import` brings them in' if importable(lacking) else ''}"
        return pl.DataFrame(schema={"neuron": pl.Int64}), f"no values in {', '.join(lacking)}: {how}"
    table = session.table(analysis).filter(pl.col("run") == run, pl.col("neuron").is_in(list(neurons)))
    return table, f"`{slug}` has no row of it: nothing was measured, or no position has a token class"
