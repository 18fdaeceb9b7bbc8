"""What a segmentation into plateau, power law and rapid decay says: nine quantities, and a breakpoint has no place.

A breakpoint is sought in a range. At an end of it the data say only "there or beyond": a number would look exact.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

QUANTITIES = (
    "plateau_end",
    "elbow",
    "kappa",
    "plateau_slope",
    "decay_slope",
    "plateau_share",
    "power_share",
    "decay_share",
    "plateau_excess",
)


@dataclass(frozen=True)
class Regimes:
    """Fits of B curves: `quantity` (B, 9) in the order of `QUANTITIES`; the rest (B,).

    `is_plateau`: |slope of the first segment| < 0.5 |slope of the second|. `delta_bic_1`, `delta_bic_0`: BIC with one
    (none) breakpoint minus BIC with two; positive where two are preferred. `level`: ln value of the middle line at the
    first breakpoint. `at_start`: the first breakpoint is the earliest that is sought, so it is there or earlier;
    `at_end`: the second is the latest, so it is there or later.
    """

    quantity: Array
    is_plateau: NDArray[np.bool_]
    delta_bic_1: Array
    delta_bic_0: Array
    level: Array
    at_start: NDArray[np.bool_]
    at_end: NDArray[np.bool_]

    @property
    def statistic(self) -> Array:
        """The plateau statistic (B,): `plateau_excess` where the plateau rule is met, else minus infinity."""
        excess = self.quantity[:, QUANTITIES.index("plateau_excess")]
        return np.where(np.isnan(excess), np.nan, np.where(self.is_plateau, excess, -np.inf))

    @property
    def located(self) -> Array:
        """`quantity` (B, 9), NaN for what depends on the place of a breakpoint that lies at an end of its range."""
        return self._with_ends(np.nan, np.nan, np.nan)

    @property
    def widest(self) -> Array:
        """`quantity` (B, 9) with a breakpoint at an end of its range moved as far as it may be: rank 1, or the last."""
        return self._with_ends(1.0, 0.0, self.quantity[:, QUANTITIES.index("decay_slope")])

    def _with_ends(self, first_rank: float, decay_share: float, decay_slope: float | Array) -> Array:
        named = dict(zip(QUANTITIES, self.quantity.T, strict=True))
        n = np.rint(named["elbow"] / (1.0 - named["decay_share"]))
        plateau_end = np.where(self.at_start, first_rank, named["plateau_end"])
        decay = np.where(self.at_end, decay_share, named["decay_share"])
        named |= {
            "plateau_end": plateau_end,
            "elbow": n * (1.0 - decay),
            "plateau_share": plateau_end / n,
            "power_share": 1.0 - decay - plateau_end / n,
            "decay_share": decay,
            "decay_slope": np.where(self.at_end, decay_slope, named["decay_slope"]),
        }
        return np.stack([named[name] for name in QUANTITIES], axis=1)


def no_regimes(n_curves: int) -> Regimes:
    """Room for the fits of `n_curves` curves, NaN so far."""
    unknown, no = np.full(n_curves, np.nan), np.zeros(n_curves, dtype=bool)
    quantity = np.full((n_curves, len(QUANTITIES)), np.nan)
    return Regimes(quantity, no, unknown, unknown.copy(), unknown.copy(), no.copy(), no.copy())


def put(result: Regimes, rows: NDArray[np.int64], fit: Regimes) -> None:
    """Write the fits of the curves `rows` into `result`."""
    for field in fields(Regimes):
        getattr(result, field.name)[rows] = getattr(fit, field.name)


def stack(fits: list[Regimes]) -> Regimes:
    """One record of several."""
    return Regimes(*(np.concatenate([getattr(fit, field.name) for fit in fits]) for field in fields(Regimes)))


def no_place(quantity: str, observed: Regimes) -> str:
    """Why a quantity that depends on a breakpoint's place has no number; empty where it has one."""
    if quantity in ("plateau_end", "plateau_share", "power_share") and observed.at_start[0]:
        rank = observed.quantity[0, QUANTITIES.index("plateau_end")]
        return f"the first breakpoint is the earliest that is sought: the plateau ends at rank {rank:.0f} or earlier"
    if quantity in ("elbow", "power_share", "decay_share", "decay_slope") and observed.at_end[0]:
        rank = observed.quantity[0, QUANTITIES.index("elbow")]
        return f"the second breakpoint is the latest that is sought: the decay begins at rank {rank:.0f} or later"
    return ""
