"""What heads do to the plateau, in words, from the rows of `head_routing`."""

import numpy as np
import polars as pl

from queries.shared.heads import balance, name_of, out_of_reach
from queries.stats.verdict import LEVEL
from queries.stats.words import counted


def routing_words(key: tuple[str, ...], group: pl.DataFrame) -> str:
    """The verdict of one run and ablation, `key`, the selective heads, and how concentrated the effect is."""
    run, ablation = key
    row = group.filter(measure="excess").row(0, named=True)
    start = (
        f"- `{run}`, `{ablation}` ablation: that attention routes rare tokens to the plateau is **{row['verdict']}**: "
    )
    how = f" ({row['remedy']})" if row["remedy"] else ""
    start += f"{row['reason']}{how}."
    every = group.filter(measure="influence", token_class="rare_minus_common")
    heads = every.filter(pl.col("estimate").is_not_nan())
    if heads.is_empty() or not np.isfinite(row["estimate"]):
        return start
    known = heads.filter(pl.col("q") < LEVEL)
    above = known.filter(pl.col("estimate") > 0).sort("estimate", descending=True)
    first = ", ".join(
        f"{name_of(r['layer'], r['head'])} ({r['estimate']:.2g} sd)" for r in above.head(3).iter_rows(named=True)
    )
    few = out_of_reach(row["n"], heads.height)
    size = f"{counted(row['n'], 'document')}, {counted(row['n_positions'], 'position')} a class"
    size += f"; {counted(row['n_left_out'], 'document')} not whole and left out" if row["n_left_out"] else ""
    return start + (
        f" {above.height:,} of {counted(heads.height, 'head')} move it more at rare positions (q < {LEVEL}"
        f"{f', most {first}' if first else ''}), {known.height - above.height:,} less"
        f"{_no_path(every.height - heads.height, every.height)}{f'; {few}' if few else ''}. "
        f"Rare positions multiply what heads do to the plateau by {np.exp(row['estimate']):.3g} "
        f"({np.exp(row['low']):.3g} to {np.exp(row['high']):.3g}) beyond what they do to random groups of "
        f"{counted(row['n_neurons'], 'neuron')}. "
        f"{_concentrated(group)} ({size}; {balance(row)})."
    )


def _no_path(n: int, n_heads: int) -> str:
    """How many heads of the model have no number, since they cannot reach the MLP; empty for none.

    >>> _no_path(4, 16)
    '; 4 of the 16 heads have no path to the MLP'
    """
    return f"; {n:,} of the {counted(n_heads, 'head')} {'has' if n == 1 else 'have'} no path to the MLP" if n else ""


def _concentrated(group: pl.DataFrame) -> str:
    """How many heads carry half of the effect, by class."""
    parts = {}
    for name in ("rare", "common"):
        row = group.filter(measure="heads_of_half", token_class=name).row(0, named=True)
        ends = f" ({row['low']:.3g} to {row['high']:.3g})" if np.isfinite(row["low"]) else ""
        parts[name] = f"{row['estimate']:.3g}", ends
    return (
        f"Half of the effect on it is carried by {' heads'.join(parts['rare'])} on rare targets and by "
        f"{''.join(parts['common'])} on common ones"
    )
