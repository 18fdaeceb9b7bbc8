"""What is held against the truth in the analyses of the curve of influences: regimes, laws with a component, tails."""

from functools import partial

import numpy as np
import polars as pl

from calibration.targets import Family, Interval, Rejection, Row, Study, Truth
from calibration.worlds import Corpus, Design, World, influence_world, power_world, smooth_world
from queries.stats import specialists
from queries.stats.segmentation import fit_values
from queries.stats.three_regimes import QUANTITIES

FEWER = specialists.Effort(variance=200, resamples=2, simulated=59, planted=2, tail=2)
OF_TAIL = specialists.Effort(variance=200, resamples=2, simulated=2, planted=2, tail=59)
OF_LEAD = specialists.Effort(variance=200, resamples=100, simulated=2, planted=2, tail=2)

ONE_CLASS = Corpus(rare_share=0.0)


def _segmented(quantity: str) -> Truth:
    """What the segmentation gives for the true influences themselves."""

    def truth(world: World, corpus: Corpus, row: Row) -> float:
        level = (1 - corpus.rare_share) * world.influence("common") + corpus.rare_share * world.influence("rare")
        return float(fit_values(level[None]).quantity[0, QUANTITIES.index(quantity)])

    return truth


def regimes_study() -> Study:
    """Places, slopes and excess of all neurons on all tokens; the test of the plateau and its verdict."""
    row = {"token_class": "all", "sign_group": "all"}
    intervals = tuple(
        Interval(name, {**row, "quantity": name}, _segmented(name), designs=("plateau",))
        for name in ("kappa", "plateau_slope", "decay_slope", "plateau_end", "elbow", "plateau_excess")
    )
    excess = {**row, "quantity": "plateau_excess"}
    tests = (
        Rejection("plateau beyond a smooth law", excess, "p_smooth"),
        Rejection("a plateau (verdict)", excess, "verdict", "supported"),
    )
    return Study("regimes", intervals, tests)


def tail_study() -> Study:
    """The component: its test and verdict."""
    row = {"token_class": "all", "law": "mixture"}
    tests = (
        Rejection("component", row, "p_mixture"),
        Rejection("a component (verdict)", row, "verdict", "supported"),
    )
    return Study("influence_tail", (), tests, FEWER)


LAWS = Family(
    "laws",
    # without rare tokens, what is said of all tokens is said once, in half of the time
    (
        Design("none", smooth_world, ONE_CLASS, is_anew=True),
        Design("weak", partial(smooth_world, component=0.7), ONE_CLASS, is_anew=True, effect=0.7),
        Design("strong", partial(smooth_world, component=1.4), ONE_CLASS, is_anew=True, effect=1.4),
        Design("plateau", partial(influence_world, excess=1.5), ONE_CLASS, effect=1.5, is_tested=False),
    ),
    (regimes_study(), tail_study()),
    words="8 % of the neurons 0, 0.7, 1.4 (ln) above the top of a lognormal law; a plateau 1.5 above a power law",
    n_check=10,
)


def lead_study() -> Study:
    """How far the best smooth law is behind the component, as the report's first page has it."""
    smooth = (pl.col("law") == specialists.MIXTURE, pl.col("estimate"))
    lead = Interval("BIC of the best smooth law over the component", {"token_class": "all"}, first=smooth)
    return Study("influence_tail", (lead,), (), OF_LEAD)


# The same neurons in every lake: an interval over documents is about them
COMPONENT = Family(
    "component",
    (Design("strong", partial(smooth_world, component=1.4), ONE_CLASS, effect=1.4, is_tested=False),),
    (lead_study(),),
    words="8 % of the neurons 1.4 (ln) above the top of a lognormal law, the same neurons in every lake",
    n_check=10,
)


def power_law_study() -> Study:
    """The power law of the tail: the test of its fit, that of a cut-off, and the verdict against it."""
    row = {"token_class": "all", "law": "power_law"}
    tests = (
        Rejection("no power law in the tail", row, "tail_p"),
        Rejection("a cut-off of the tail", row, "tail_cutoff_p"),
        Rejection("no power law in the tail (verdict)", row, "tail_verdict", "contradicted"),
    )
    return Study("influence_tail", (), tests, OF_TAIL)


TAILS = Family(
    "tails",
    (
        Design("power law", power_world, ONE_CLASS, is_anew=True),
        Design("lognormal", smooth_world, ONE_CLASS, is_anew=True, effect=1.0),
    ),
    (power_law_study(),),
    words="150 neurons from a power law with the density exponent 2.5; lognormal: from such a law, its sd 1",
    n_check=10,
)


def _difference(quantity: str) -> Truth:
    """What the segmentations of the true influences give, rare minus common."""

    def truth(world: World, corpus: Corpus, row: Row) -> float:
        levels = np.stack([world.influence("rare"), world.influence("common")])
        rare, common = fit_values(levels).quantity[:, QUANTITIES.index(quantity)]
        return float(rare - common)

    return truth


def contrast_study() -> Study:
    """Differences of the plateau's excess and end, the slope after it and the elbow; tests, and the excess's verdict.

    Only the excess is planted: the other tests have no power to show.
    """
    rows = {name: {"sign_group": "all", "quantity": name} for name in ("plateau_excess", "plateau_end", *UNPLANTED)}
    tests = [
        Rejection("higher plateau", rows["plateau_excess"]),
        Rejection("higher plateau (verdict)", rows["plateau_excess"], "verdict", "supported"),
        *(Rejection(f"difference of {name}", rows[name], designs=("none",)) for name in UNPLANTED),
    ]
    intervals = tuple(Interval(f"difference of {name}", row, _difference(name)) for name, row in rows.items())
    return Study("plateau_contrast", intervals, tuple(tests))


UNPLANTED = ("kappa", "elbow")


CLASSES = Family(
    "classes",
    (
        Design("none", influence_world),
        Design("strong", partial(influence_world, trend=0.1), effect=0.5),
    ),
    (contrast_study(),),
    words="a plateau that is 0, 0.5 (ln) higher on rare tokens",
    n_check=40,
)
