"""The machinery of analyses: what one is, how the folder is read, how one is run.

An analysis is a module `queries/<slug>.py` with its `queries/<slug>.sql`. The SQL shrinks tokens to sufficient
statistics per document; `estimate` turns them into one row per estimate; `answer` says in words what the numbers say.
The folder listing is the registry: nothing else names an analysis.
"""

import difflib
import importlib
import inspect
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from queries.claims import FINDING as FINDING
from queries.claims import Claim as Claim
from queries.claims import finding as finding
from queries.matrices import with_values
from queries.pieces import in_pieces
from warehouse.connection import frame
from warehouse.errors import QueryError

FOLDER = Path(__file__).parent
Connect = Callable[[], duckdb.DuckDBPyConnection]
ESTIMATE = ("estimate", "low", "high", "n")
# What the columns mean that many analyses have as keys; an analysis that means something else says so itself.
KEYS = {
    "step": "Training step of the checkpoint.",
    "run": "Id of the run; the table of provenance says which model it is.",
    "token_class": "Whose positions: `rare` or `common` tokens, `all` of them, or `rare_minus_common`, a difference.",
    "neuron": "The neuron's index in its layer, from 0; the order is arbitrary.",
    "group": "Which neurons: those of the `plateau` (its stable core), of the `power_law` or of the `decay`.",
    "sign_group": "`all` neurons, those that `boost` the right token, or those that `suppress` it.",
    "measure": "Which statistic the row holds; the text above says what each is.",
    "quantity": "Which property of the three regimes the row holds: a rank, a slope, a share or an excess.",
    "space": "What the neurons are compared by: `activation` at the positions, or output `weight`.",
}
# The order of a report's chapters; one that is not here comes after them.
CHAPTERS = ("Training", "Influence", "Coordination", "Clustering", "Weights")
PARAMETERS: dict[str, Any] = {"rare_quantile": 0.5, "rare_by": "target"}


@dataclass(frozen=True)
class Chart:
    """A figure: `kind` is a function of `reports.charts`, `tables` the slugs whose tables it draws."""

    kind: str
    tables: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def _whole(table: pl.DataFrame) -> pl.DataFrame:
    return table


@dataclass(frozen=True)
class Analysis:
    """One question to the lake.

    `estimate(frame, rng)` gets the rows of one run (or none) and returns a table with `keys`, then `estimate, low,
    high, n`, then `columns` (name -> meaning); rows sorted by `keys`, never rounded; a statistic without an answer is
    NaN and `reason` says why.
    `is_across_runs`: `estimate` gets the rows of all runs at once, since it also compares them.
    `matrix` is a column of a view, such as `activations.activation`: the rows of the SQL, one per position, get the
    values of all neurons there as a column of that name (an array), which no SQL could hold in bounded memory.
    `stream(frames, rng)`, where there is one, is `estimate` of rows that come in several frames, in the order of the
    SQL, so that they are never held all at once; `estimate` of all of them in one frame gives the same. `pieces` are
    the columns of that order: rows are asked for by the values of all but the last, and by ranges of the last, so that
    the database does not put all of them in order at once either.
    `answer(table)` is the answer in words (Markdown, one paragraph or a list), made from the table alone.
    `excerpt(table)` is what a page has room for. `claims` are what a reader of the first page wants answered.
    `needs` are the columns (`table.column`, or of the view `trajectory_states`) that must hold values. `uses` are
    analyses whose tables the SQL reads by their slug, e.g. `join plateau_stability using (run, neuron)`. `key_columns`
    is the meaning of keys that `KEYS` does not tell, `counts` what `n` counts. `subject` is what the question is about,
    where not every lake has it, and `subject_from` the command that adds it: a report on a lake without it names the
    question and leaves it out.
    `p_floors` are the smallest p-values that the numbers of random draws allow: there, p is an upper bound.
    `over_steps`: it is about a sweep of checkpoints. Its SQL reads the view `sweep_runs`, sees every checkpoint, and
    calls the sweep by the run of its last one (`last_run as run`), with `step` as a key; all others see, in a report,
    the last checkpoint of each sweep only.
    `load` fills the last block from the module's docstring and its SQL file.
    """

    chapter: str
    keys: tuple[str, ...]
    unit: str
    resampled: str
    columns: Mapping[str, str]
    chart: Chart
    estimate: Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]
    answer: Callable[[pl.DataFrame], str]
    excerpt: Callable[[pl.DataFrame], pl.DataFrame] = _whole
    needs: tuple[str, ...] = ("neuron_tokens.delta_loss",)
    uses: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    key_columns: Mapping[str, str] = field(default_factory=dict)
    counts: str = "documents"
    subject: str = ""
    subject_from: str = ""
    p_floors: tuple[float, ...] = ()
    over_steps: bool = False
    is_across_runs: bool = False
    matrix: str = ""
    stream: Callable[[Iterable[pl.DataFrame], np.random.Generator], pl.DataFrame] | None = None
    pieces: tuple[str, ...] = ()

    slug: str = ""
    question: str = ""
    explanation: str = ""
    caveats: str = ""
    source: str = ""
    sql: str = ""

    @property
    def meanings(self) -> dict[str, str]:
        """What each column of the table means, but for those of `ESTIMATE`."""
        return {**{name: text for name, text in KEYS.items() if name in self.keys}, **self.key_columns, **self.columns}

    def with_effort(self, effort: Any) -> "Analysis":
        """The same with other numbers of draws inside, as `estimate` takes them; calibration makes do with fewer."""
        estimate: Callable[..., pl.DataFrame] = self.estimate
        stream: Callable[..., pl.DataFrame] | None = self.stream
        lowered = stream and partial(stream, effort=effort)
        return replace(self, estimate=partial(estimate, effort=effort), stream=lowered)


def slugs() -> list[str]:
    """The analyses in the folder, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def no_analysis(name: str) -> QueryError:
    """The error for a `name` that is no analysis: says which ones are near, and which there are."""
    near = difflib.get_close_matches(name, slugs(), n=3)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return QueryError(f"no analysis `{name}`", hint=f"{meant}there are: {', '.join(slugs())}")


def load(slug: str) -> Analysis:
    """The analysis `slug`, with the parts of its docstring and its SQL.

    The docstring is: a question that ends in "?"; paragraphs of explanation; a paragraph that begins with "Caveats:";
    a last paragraph that begins with "Source:".
    """
    if slug not in slugs():
        raise no_analysis(slug)
    module = importlib.import_module(f"queries.{slug}")
    paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")
    named = dict.fromkeys(("Caveats", "Source"), "")
    explanation = []
    for paragraph in paragraphs[1:]:
        head, _, rest = paragraph.partition(":")
        if head in named:
            named[head] = rest.strip()
        else:
            explanation.append(paragraph)
    analysis: Analysis = module.ANALYSIS
    return replace(
        analysis,
        slug=slug,
        question=paragraphs[0],
        explanation="\n\n".join(explanation),
        caveats=named["Caveats"],
        source=named["Source"],
        sql=(FOLDER / f"{slug}.sql").read_text(encoding="utf-8"),
    )


def statement(sql: str) -> str:
    """SQL without its lines of comment: what tells whether two analyses read the same rows."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()


class Session:
    """Tables of analyses on the runs that `con` sees, each computed once, run by run; the same seed, the same tables.

    `parameters` replaces defaults in `PARAMETERS`; an SQL file takes those of them that it names. SQL that several
    analyses share word for word, comments aside, is read once. `steps` connects to all checkpoints, for analyses over
    steps, where `con` does not see them; it is called if there is one.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        seed: int = 0,
        parameters: Mapping[str, Any] | None = None,
        steps: Connect | None = None,
    ) -> None:
        self.con, self.seed, self.parameters = con, seed, {**PARAMETERS, **(parameters or {})}
        self._tables: dict[str, pl.DataFrame] = {}
        self._frames: dict[str, pl.DataFrame] = {}
        self._with_values: tuple[tuple[str, ...], pl.DataFrame] = ((), pl.DataFrame())
        self._connect_steps: Connect = cache(steps) if steps else lambda: con

    def connection(self, analysis: Analysis) -> duckdb.DuckDBPyConnection:
        """What the SQL of `analysis` is asked on."""
        return self.steps if analysis.over_steps else self.con

    @property
    def steps(self) -> duckdb.DuckDBPyConnection:
        """The connection that sees all checkpoints of the sweeps."""
        return self._connect_steps()

    def table(self, analysis: Analysis) -> pl.DataFrame:
        """The table of `analysis`; no rows where the lake has none of what it needs."""
        if analysis.slug not in self._tables:
            for slug in analysis.uses:
                self.connection(analysis).register(slug, self.table(load(slug)).to_arrow())
            if analysis.stream is None:
                self._tables[analysis.slug] = self._estimate(analysis, self._frame(analysis))
            else:
                self._tables[analysis.slug] = self._stream(analysis, analysis.stream)
        return self._tables[analysis.slug]

    def has(self, slug: str) -> bool:
        """Whether the table of the analysis `slug` is there already."""
        return slug in self._tables

    def give(self, slug: str, table: pl.DataFrame) -> None:
        """Take the table of the analysis `slug` as computed elsewhere, with the same lake, seed and parameters."""
        self._tables[slug] = table

    def _estimate(self, analysis: Analysis, rows: pl.DataFrame) -> pl.DataFrame:
        """Each run on its own and from the same seed, so that its numbers do not depend on what else is in the lake."""
        several = rows["run"].n_unique() > 1 and not analysis.is_across_runs
        parts = (part for _, part in by_group(rows, ("run",))) if several else iter([rows])
        # thousands of small products: more threads wait for each other longer than they work
        with threadpool_limits(limits=1, user_api="blas"):
            return pl.concat(analysis.estimate(self.valued(analysis, part), self._rng(analysis)) for part in parts)

    def valued(self, analysis: Analysis, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of one run with their values, if the analysis has a `matrix`; the last ones are kept for others."""
        if not analysis.matrix or rows.is_empty():
            return rows
        key = (statement(analysis.sql), analysis.matrix, rows["run"][0])
        if self._with_values[0] != key:
            self._with_values = ((), rows)  # before the next are read, these can go
            self._with_values = (key, with_values(self.connection(analysis), rows, analysis.matrix))
        return self._with_values[1]

    def _stream(
        self, analysis: Analysis, stream: Callable[[Iterable[pl.DataFrame], np.random.Generator], pl.DataFrame]
    ) -> pl.DataFrame:
        """The same from rows that come in frames, which the SQL has ordered by run."""
        bare = statement(analysis.sql)
        rows = (
            pair
            for each in in_pieces(self.connection(analysis), bare, self._named(bare), analysis.pieces)
            for pair in by_group(each, ("run",))
        )
        with threadpool_limits(limits=1, user_api="blas"):
            tables = [
                stream((part for _, part in of_run), self._rng(analysis))
                for _, of_run in groupby(rows, key=lambda pair: pair[0])
            ]
            return pl.concat(tables) if tables else stream([], self._rng(analysis))

    def _rng(self, analysis: Analysis) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(analysis.slug.encode())])

    def _named(self, bare: str) -> dict[str, Any]:
        """The parameters that the statement names."""
        return {name: value for name, value in self.parameters.items() if f"${name}" in bare}

    def _frame(self, analysis: Analysis) -> pl.DataFrame:
        bare = statement(analysis.sql)
        if bare not in self._frames:
            self._frames[bare] = frame(self.connection(analysis), bare, self._named(bare))
        return self._frames[bare]


def run(
    con: duckdb.DuckDBPyConnection,
    analysis: Analysis,
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    steps: Connect | None = None,
) -> pl.DataFrame:
    """The table of one `analysis`, see `Session`."""
    return Session(con, seed, parameters, steps).table(analysis)


def by_group(table: pl.DataFrame, keys: tuple[str, ...]) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """Groups of `table` with equal `keys`, sorted by them; of a single group nothing is copied."""
    if table.height and all(table[name].n_unique() == 1 for name in keys):
        yield table.select(keys).row(0), table
        return
    yield from sorted(
        ((key, group) for key, group in table.group_by(*keys, maintain_order=True)), key=lambda pair: pair[0]
    )
