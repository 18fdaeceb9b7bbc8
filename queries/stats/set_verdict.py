"""The verdict on "the plateau neurons form no clusters": what it takes, and why in words."""

import numpy as np

from queries.stats.nulls import benjamini_hochberg
from queries.stats.set_tests import PLANTED_CLUSTERS, PLANTED_STRENGTH, Row
from queries.stats.verdict import CONTRADICTED, LEVEL, REFUTED, SUPPORTED, UNDECIDABLE

MIN_POWER = 0.8
_WORDS = {
    "p_trend": "the trend over the ranking",
    "p_influence": "chance among neurons from the same tenths of influence",
    "p_any": "chance among any neurons",
    "p_activation": "chance among neurons of like mean and spread",
    "p_gaussian": "one Gaussian cloud",
    "p_shuffled": "shuffling",
}


def decide_clusters(row: Row, q: float) -> tuple[str, str]:
    """Verdict on "the plateau neurons form no clusters", and why.

    Contradicted where no null explains the clustering (q < 0.05 of the largest p) and the interval lies above their
    means; supported where one does and planted clusters would have been seen; undecidable otherwise. A trend that
    predicts surely more than there is does not hold, and explains nothing.
    """
    p, reason = row["p"], row["reason"]
    if reason or not np.isfinite(row["estimate"]):
        return UNDECIDABLE, reason or "the measure is not defined for this group"
    means = [value for name, value in row.items() if name.endswith("_mean") and np.isfinite(value)]
    if q < LEVEL:
        head = f"more clustered than every null (q = {q:.2g})"
        if row["low"] > max(means):
            return CONTRADICTED, f"{head}, and so is the interval"
        return UNDECIDABLE, f"{head}, but the interval reaches {row['low']:.2g}"
    if p < LEVEL:
        return UNDECIDABLE, f"more clustered than every null by p = {p:.2g}, but not among all tests (q = {q:.2g})"
    return _not_beyond(row, q)


def _not_beyond(row: Row, q: float) -> tuple[str, str]:
    """The verdict on a group that some null explains."""
    power, planted = row["power"], f"{PLANTED_CLUSTERS} planted clusters with correlation {PLANTED_STRENGTH}"
    explained = _explanation(row, q)
    if not explained:
        return UNDECIDABLE, (
            "more clustered than every other null, but not even as the trend over the ranking predicts "
            f"({row['trend_low']:.2g} to {row['trend_high']:.2g}): that does not hold here"
        )
    if power >= MIN_POWER:
        return SUPPORTED, f"{explained}, and {planted} would be seen in {100 * power:.0f} % of groups"
    reach = row.get("trend_high", np.nan)
    allowed = f" (the trend allows for up to {reach:.2g})" if np.isfinite(reach) else ""
    return UNDECIDABLE, f"{explained}, but {planted} would be seen in only {100 * power:.0f} % of groups{allowed}"


def _explanation(row: Row, q: float) -> str:
    """The null with the largest p, in words; empty where only a trend explains it that predicts surely more."""
    known = {name: row[name] for name in _WORDS if np.isfinite(row.get(name, np.nan))}
    is_refuted = row.get("p_trend", np.nan) > REFUTED
    if is_refuted:
        known.pop("p_trend", None)
    if not known:
        return "" if is_refuted else f"a null explains it (q = {q:.2g})"
    closest = max(known, key=known.__getitem__)  # of equal ones the first of `_WORDS`
    if is_refuted and known[closest] < LEVEL:
        return ""
    return f"{_WORDS[closest]} explains it ({f'p = {known[closest]:.2g}' if is_refuted else f'q = {q:.2g}'})"


def judge(rows: list[Row], tested: tuple[str, ...]) -> list[Row]:
    """`rows` with `q`, over all rows whose measure is `tested`, and a `verdict` with its `reason` for the plateau."""
    p = np.array([row["p"] if row["measure"] in tested else np.nan for row in rows])
    for row, q in zip(rows, benjamini_hochberg(p), strict=True):
        row["q"] = float(q)
        is_judged = row["group"] == "plateau" and row["measure"] in tested
        row["verdict"] = None
        if is_judged:
            row["verdict"], row["reason"] = decide_clusters(row, float(q))
    return rows
