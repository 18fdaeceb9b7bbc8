"""The verdict on "attention routes rare tokens to the plateau": what it takes, and why in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from queries.stats.verdict import CONTRADICTED, LEVEL, MIN_DOCUMENTS, MIN_POSITIONS, SUPPORTED, UNDECIDABLE
from queries.stats.words import counted

MIN_NEURONS = 5
# A ratio of rare to common changes a quarter above that of other neurons: its absence must be shown, not its size.
VISIBLE = float(np.log(1.25))
_WORDS = {"any": "random groups", "alike": "groups that heads move as much at common positions"}


@dataclass(frozen=True)
class RoutingEvidence:
    """`excess` of the plateau's ln(rare / common) over the mean of random groups, with its interval.

    By null, the mean of the same of its groups and the p of the plateau's; `n_heads` of which `n_selective` move the
    plateau more at rare positions (q < 0.05), `n_special` of these more so than 99 % of random groups. `n_elsewhere`:
    rare positions that the plateau was read off. `reason`: why there is no estimate.
    """

    n_documents: int
    n_positions: int
    n_elsewhere: int
    n_neurons: int
    n_heads: int
    n_selective: int
    n_special: int
    excess: float
    low: float
    high: float
    null_mean: Mapping[str, float]
    p: Mapping[str, float]
    reason: str = ""


def decide_routing(evidence: RoutingEvidence) -> tuple[str, str]:
    """`supported`, `contradicted` or `undecidable`, and the reason.

    Supported: some head moves the plateau more at rare than at common positions (q < 0.05 over the heads), and rare
    positions raise what heads do to the plateau by more than they do for every kind of random group, in p and by the
    whole interval. Contradicted: some kind of random group explains what rare positions add, no head stands out from
    random groups, and the interval excludes a ratio a quarter above that of any kind. Undecidable: anything else, fewer
    than 10 documents, 100 positions a class or for the plateau, or 5 neurons. An effect that is sure and smaller than
    a quarter is supported too, and said to be small.

    >>> means, p = {"any": 0.0, "alike": 0.01}, {"any": 0.001, "alike": 0.002}
    >>> decide_routing(RoutingEvidence(30, 200, 900, 12, 90, 4, 4, 0.4, 0.3, 0.5, means, p))[0]
    'supported'
    >>> no = {"any": 0.3, "alike": 0.4}
    >>> decide_routing(RoutingEvidence(30, 200, 900, 12, 90, 0, 0, 0.02, -0.1, 0.14, means, no))[0]
    'contradicted'
    """
    e = evidence
    if poor := e.reason or _too_little(e):
        return UNDECIDABLE, poor
    alike = [name for name, mean in e.null_mean.items() if not (e.p[name] < LEVEL and e.excess > mean)]
    missing = [] if e.n_selective else ["no head moves the plateau more at rare than at common positions (q < 0.05)"]
    if alike:
        nulls = " and ".join(f"{_WORDS[name]} (p = {e.p[name]:.2g})" for name in alike)
        missing.append(f"what rare positions add is no more than for {nulls}")
    limit = max(e.null_mean.values())
    if not missing and e.low > limit:
        return SUPPORTED, (
            f"{counted(e.n_selective, 'head')} of {e.n_heads:,} with more effect on the plateau at rare positions, and "
            "what these positions add exceeds that of every kind of random group, also by the interval over documents"
            + ("; small: a ratio a quarter above that of random groups is excluded" if _is_small(e) else "")
        )
    if e.n_special:
        missing.append(f"{counted(e.n_special, 'head')} by itself more than for random groups, not all heads together")
    elif alike and _is_small(e):
        return CONTRADICTED, f"{'; '.join(missing)}; a ratio a quarter above that of random groups is excluded"
    if not missing:
        missing.append(f"the interval ({e.low:.2g} to {e.high:.2g}) reaches {limit:.2g}, the mean of random groups")
    return UNDECIDABLE, "; ".join(missing)


def remedy(evidence: RoutingEvidence) -> str | None:
    """How to get the positions that a verdict lacks where more documents alone do not give them; else null.

    >>> means, p = {"any": 0.0}, {"any": 0.001}
    >>> remedy(RoutingEvidence(30, 32, 900, 12, 90, 4, 4, 0.4, 0.3, 0.5, means, p))
    'if --head-tokens was below 200: rt rm RUN --pass heads, then rt extract --heads with more'
    """
    if evidence.n_positions >= MIN_POSITIONS or evidence.n_documents < MIN_DOCUMENTS:
        return None
    least = 2 * MIN_POSITIONS
    return f"if --head-tokens was below {least}: rt rm RUN --pass heads, then rt extract --heads with more"


def _is_small(e: RoutingEvidence) -> bool:
    """Whether the interval excludes a ratio a quarter above that of any kind of random group."""
    return e.high - min(e.null_mean.values()) < VISIBLE


def _too_little(e: RoutingEvidence) -> str:
    """Why no verdict can be given whatever the heads do; empty where one can."""
    if e.n_documents < MIN_DOCUMENTS:
        return f"{counted(e.n_documents, 'document')}; a verdict needs at least {MIN_DOCUMENTS}"
    if e.n_positions < MIN_POSITIONS:
        return f"{counted(e.n_positions, 'position')} a class; a verdict needs at least {MIN_POSITIONS} a class"
    if e.n_elsewhere < MIN_POSITIONS:
        return (
            f"the plateau is read off {counted(e.n_elsewhere, 'rare position')} where no head was ablated; at least "
            f"{MIN_POSITIONS} are needed"
        )
    if e.n_neurons < MIN_NEURONS:
        return f"the core of the plateau has {counted(e.n_neurons, 'neuron')}; at least {MIN_NEURONS} are needed"
    if not np.isfinite([e.low, e.high, *e.p.values()]).all():
        return "the excess has no interval, or there are no groups to compare with"
    return ""
