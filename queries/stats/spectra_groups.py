"""The spectra of the groups of one side of the MLP, at equal size, beside random groups, matched groups, permuted rows.

Shapes: N neurons with d weights each, groups of m, B random groups, K measures in the order of `MEASURES`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queries.stats.groups import monte_carlo_p, random_groups, sparse_strata
from queries.stats.power_law import fit_power_law
from queries.stats.spectra import (
    MEASURES,
    NO_INTERVAL,
    Columns,
    column_intervals,
    edge,
    measure,
    permuted_rows,
    spectra,
)
from queries.stats.verdict import LEVEL, UNDECIDABLE
from queries.stats.words import counted

Array = NDArray[np.float64]
Index = NDArray[np.int64]

GROUPS = ("decay", "plateau", "power_law")
CLAIM = "hill_alpha"
N_SUBGROUPS = 10
MIN_SIZE, MAX_SIZE = 5, 100


@dataclass(frozen=True)
class Effort:
    """Draws: random `groups`, `halves` of the columns, `permuted` rows. Calibration makes do with fewer."""

    groups: int = 249
    halves: int = 99
    permuted: int = 99


FULL = Effort()


@dataclass(frozen=True)
class Side:
    """One side of one run: standardised `rows` (N, d), and the `length` (N,) of the rows as they were.

    `influence` (N,) in nats, 0 where it is not known; `members` are the indices of the neurons of each group.
    """

    rows: Array
    length: Array
    influence: Array
    members: dict[str, Index]

    @property
    def size(self) -> int:
        """Rows of the groups that are compared; 0 where the plateau is too small."""
        m = min(len(self.members["plateau"]), MAX_SIZE)
        return m if m >= MIN_SIZE else 0


def side_rows(side: Side, rng: np.random.Generator, effort: Effort) -> list[dict[str, Any]]:
    """One row per group and measure, column names to values, without run, side and q; `reason` says what is missing."""
    m, d = side.size, side.rows.shape[1]
    if not m:
        n = len(side.members["plateau"])
        why = f"the plateau's core has {counted(n, 'neuron')} with weights; at least {MIN_SIZE} are needed"
        return [_empty(group, name, side, why) for group in GROUPS for name in MEASURES]
    anyone = random_groups(np.arange(m), len(side.rows), effort.groups, rng)
    null = measure(spectra(side.rows, anyone), d)  # (B, K)
    rows = []
    for group, members in side.members.items():
        if len(members) < m:
            why = f"the group has {counted(len(members), 'neuron')} with weights; {m} are needed for equal sizes"
            rows += [_empty(group, name, side, why) for name in MEASURES]
            continue
        drawn = (
            members[None] if len(members) == m else members[random_groups(np.arange(m), len(members), N_SUBGROUPS, rng)]
        )
        values = spectra(side.rows, drawn)
        found = measure(values, d).mean(axis=0)
        columns = column_intervals(side.rows, drawn, found, effort.halves, rng)
        extra = _comparison(side, found, null, drawn[0], rng, effort) if group == "plateau" else [{} for _ in MEASURES]
        for i, name in enumerate(MEASURES):
            row = _empty(group, name, side, "") | _numbers(found[i], columns, null[:, i], i) | extra[i]
            if name == "csn_alpha" and len(drawn) == 1:
                largest = values.values[0]
                row["n_tail"] = fit_power_law(largest[largest > 0]).n_tail
            row["reason"] = NO_INTERVAL.get(name, "")
            if np.isnan(row["estimate"]):
                row["reason"] = f"the {m} eigenvalues have no tail to fit"
            rows.append(row)
    return rows


def _empty(group: str, name: str, side: Side, reason: str) -> dict[str, Any]:
    """A row without numbers."""
    m, d = side.size, side.rows.shape[1]
    return {
        "group": group, "measure": name, "n": d, "n_neurons": len(side.members[group]), "m": m or None,
        "edge": edge(m, d) if m else None, "reason": reason, "estimate": None,
        "verdict": UNDECIDABLE if group == "plateau" and name == CLAIM else None,
    }  # fmt: skip


def _numbers(found: float, columns: Columns, null: Array, i: int) -> dict[str, Any]:
    """Estimate, interval and null of measure `i`."""
    known = null[np.isfinite(null)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (float("nan"), float("nan"))
    return {
        "estimate": float(found), "low": float(columns.low[i]), "high": float(columns.high[i]),
        "column_bias": float(columns.bias[i]), "null_mean": float(known.mean()) if len(known) else float("nan"),
        "null_low": float(low), "null_high": float(high),
    }  # fmt: skip


def _comparison(
    side: Side, found: Array, null: Array, members: Index, rng: np.random.Generator, effort: Effort
) -> list[dict[str, Any]]:
    """Of every measure `found` (K,) of the plateau's `members` (m,): matched nulls, permuted rows, p.

    `null` (B, K) are the measures of groups of any neurons.
    """
    d, n = side.rows.shape[1], len(side.rows)
    nulls = {"any": null}
    for name, values in (("influence", side.influence), ("norm", side.length)):
        if (stratum := sparse_strata(values, members)) is not None:
            nulls[name] = measure(spectra(side.rows, random_groups(members, n, effort.groups, rng, stratum)), d)
    permuted = measure(permuted_rows(side.rows, members, effort.permuted, rng), d)
    rows = []
    for i, name in enumerate(MEASURES):
        tail = "less" if "alpha" in name else "two"
        p = {each: monte_carlo_p(float(found[i]), drawn[:, i], tail) for each, drawn in nulls.items()}
        rows.append(
            {
                **{f"{each}_mean": float(drawn[:, i].mean()) for each, drawn in nulls.items() if each != "any"},
                "permuted_mean": float(permuted[:, i].mean()), **{f"p_{each}": value for each, value in p.items()},
                "p": max(p.values()),
                "critical": min(float(np.nanquantile(each[:, i], LEVEL)) for each in nulls.values()),
            }
        )  # fmt: skip
    return rows
