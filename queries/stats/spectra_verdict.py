"""The verdict on "the plateau's weights have a heavier tail than random groups": what it takes, and why in words."""

from typing import Any

from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE

NULLS = ("any", "influence", "norm")
# What a contradiction must have been able to see: an alpha that is so much lower.
VISIBLE_DROP = 0.25


def decide_tail(row: dict[str, Any], p_rest: float) -> tuple[str, str]:
    """The verdict on a lower alpha than random groups, and why; `p_rest` is the p without the leading direction."""
    means = {"any": "null_mean", "influence": "influence_mean", "norm": "norm_mean"}
    # of equal p, as where none of the draws is as extreme, the nearest
    closest = max(
        (name for name in NULLS if f"p_{name}" in row),
        key=lambda name: (float(row[f"p_{name}"]), -abs(float(row["estimate"]) - float(row[means[name]]))),
    )
    kind = {"any": "any neurons", "influence": "influence-matched neurons", "norm": "length-matched neurons"}[closest]
    mean, q = row[means[closest]], row["q"]
    compared = (
        f"alpha {row['estimate']:.3g} against {mean:.3g} in random groups of {kind}, the closest null (q = {q:.2g})"
    )
    if q < LEVEL and row["high"] < mean and p_rest < LEVEL:
        return SUPPORTED, compared
    least = (1 - VISIBLE_DROP) * mean
    if q >= LEVEL and row["low"] > least and row["critical"] > least:
        return CONTRADICTED, f"{compared}, and a quarter less would have been seen"
    if q < LEVEL and row["high"] >= mean:
        return UNDECIDABLE, f"{compared}, but the interval reaches {row['high']:.3g}"
    if q < LEVEL:
        return UNDECIDABLE, (
            f"{compared}, but without the direction that the rows share most it is not lower (p = {p_rest:.2g}): one "
            "shared direction is no tail"
        )
    return UNDECIDABLE, f"{compared}, and a quarter less would not be told from chance"
