"""A law that was fitted to positive values: what all of them give."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothLaw:
    """A fitted law: `ppf` maps shares in (0, 1) to values, `logpdf` values to log densities; `bic` on the data."""

    name: str
    parameters: tuple[float, ...]
    log_likelihood: float
    bic: float
    logpdf: Callable[[Array], Array]
    ppf: Callable[[Array], Array]

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Independent draws of the law."""
        return self.ppf(rng.random(shape))


def law(
    name: str,
    parameters: tuple[float, ...],
    values: Array,
    logpdf: Callable[[Array], Array],
    ppf: Callable[[Array], Array],
) -> SmoothLaw:
    """The law `name` of these densities and quantiles, with its BIC on the `values` (N,)."""
    log_likelihood = float(logpdf(values).sum())
    bic = len(parameters) * float(np.log(len(values))) - 2.0 * log_likelihood
    return SmoothLaw(name, parameters, log_likelihood, bic, logpdf, ppf)
