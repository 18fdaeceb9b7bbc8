"""What is held against the truth in the analyses of the curve of influences: regimes, and laws with a component."""

from functools import partial

import numpy as np

from calibration.targets import Family, Interval, Rejection, Study, Truth
from calibration.worlds import Corpus, Design, World, influence_world, smooth_world
from queries.stats import specialists
from queries.stats.segmentation import fit_values
from queries.stats.three_regimes import QUANTITIES

FEWER = specialists.Effort(variance=200, resamples=20, simulated=59, planted=2, tail=2)

ONE_CLASS = Corpus(rare_share=0.0)


def _segmented(quantity: str) -> Truth:
    """What the segmentation gives for the true influences themselves."""

    def truth(world: World, corpus: Corpus) -> float:
        level = (1 - corpus.rare_share) * world.influence("common") + corpus.rare_share * world.influence("rare")
        return float(fit_values(level[None]).quantity[0, QUANTITIES.index(quantity)])

    return truth


def regimes_study() -> Study:
    """Four quantities of all neurons on all tokens; the test of the plateau and its verdict."""
    row = {"token_class": "all", "sign_group": "all"}
    intervals = tuple(
        Interval(name, {**row, "quantity": name}, _segmented(name), designs=("plateau",))
        for name in ("kappa", "plateau_end", "elbow", "plateau_excess")
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


def _excess_difference(world: World, corpus: Corpus) -> float:
    """What the segmentations of the true influences give, rare minus common."""
    levels = np.stack([world.influence("rare"), world.influence("common")])
    rare, common = fit_values(levels).quantity[:, QUANTITIES.index("plateau_excess")]
    return float(rare - common)


def contrast_study() -> Study:
    """The difference of the plateau's excess, its test and verdict."""
    row = {"sign_group": "all", "quantity": "plateau_excess"}
    tests = (Rejection("higher plateau", row), Rejection("higher plateau (verdict)", row, "verdict", "supported"))
    return Study("plateau_contrast", (Interval("difference of the excess", row, _excess_difference),), tests)


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
