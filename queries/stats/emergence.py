"""The verdict on regimes that emerge in training: what supports it, what contradicts it, and why in words."""

from dataclasses import dataclass

import numpy as np

from queries.stats.verdict import CONTRADICTED, SUPPORTED, UNDECIDABLE, VISIBLE_EXCESS


@dataclass(frozen=True)
class Emergence:
    """What the verdict rests on.

    `plateau` at the last of `n_steps` checkpoints: 1 one beyond smooth laws, -1 excluded, 0 undecided, NaN not known;
    `low`, `high` the simultaneous interval of the rise of `delta_bias` there since the step `first`; `rises_from` the
    step from which on it stays above zero, None if it does not; `absent` why there are no numbers, else empty.
    """

    n_steps: int
    first: int
    plateau: float
    low: float
    high: float
    rises_from: int | None
    absent: str = ""


def decide_emergence(found: Emergence) -> tuple[str, str]:
    """The verdict and its reason.

    >>> decide_emergence(Emergence(10, 0, 1.0, 0.4, 1.2, 64))[0]
    'supported'
    >>> decide_emergence(Emergence(10, 0, 0.0, -0.4, 0.3, None))[0]
    'contradicted'
    """
    since = "the untrained model" if found.first == 0 else f"the first checkpoint (step {found.first:,})"
    nothing = found.absent or (
        "one checkpoint: there is nothing to compare it with" if found.n_steps < 2
        else "the curve of the first or of the last checkpoint has no regimes" if np.isnan(found.low)
        else ""
    )  # fmt: skip
    if nothing:
        return UNDECIDABLE, nothing
    if found.plateau == -1:
        return CONTRADICTED, "at the last checkpoint a plateau that doubles the influence is excluded"
    if found.rises_from is None:
        if found.high < VISIBLE_EXCESS:
            return CONTRADICTED, f"a rise since {since} that doubles the influence is excluded"
        return UNDECIDABLE, f"no rise since {since} is shown, and one that doubles the influence is not excluded"
    rise = f"the plateau rises since {since} from step {found.rises_from:,} on"
    if found.plateau == 1:
        return SUPPORTED, f"{rise}, and at the end no smooth law explains it"
    return UNDECIDABLE, f"{rise}, but that it is more than the top of a smooth law at the end is not shown"
