"""What is held against the truth where the same model is seen on two corpora."""

from dataclasses import replace
from functools import partial

import numpy as np

from calibration.influence import FEW
from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.worlds import Corpus, Design, World, influence_world


def twofold_world(rng: np.random.Generator, elsewhere: float = 0.0) -> World:
    """Neurons on a plateau curve, that another corpus moves."""
    return replace(influence_world(rng), elsewhere=elsewhere)


def _ratio(world: World, corpus: Corpus, row: Row) -> float:
    name = str(row["token_class"])
    return float(np.log(world.another.influence(name).mean() / world.influence(name).mean()))


def contrast_study() -> Study:
    """The ratio of the influences and the correlation of the rankings, on rare and on common tokens."""
    intervals, tests = [], []
    for token_class in ("rare", "common"):
        ratio, rank = ({"token_class": token_class, "measure": name} for name in ("log_ratio", "spearman"))
        intervals += [
            Interval(f"ln ratio of influences, {token_class} tokens", ratio, _ratio),
            Interval(f"correlation of rankings, {token_class} tokens", rank),
        ]
        tests += [
            Rejection(f"ratio of influences, {token_class} tokens", ratio),
            Rejection(f"correlation of rankings, {token_class} tokens", rank),
        ]
    return Study("corpus_contrast", tuple(intervals), tuple(tests))


CORPORA = Family(
    "corpora",
    (
        Design("none", twofold_world),
        Design("weak", partial(twofold_world, elsewhere=0.1), effect=0.1),
        Design("strong", partial(twofold_world, elsewhere=0.3), effect=0.3),
        Design("none, 8 documents", twofold_world, FEW),
    ),
    (contrast_study(),),
    ("another corpus",),
    words="a second corpus, in which ln influence is 0, 0.1, 0.3 higher and differs by as much between neurons",
    n_check=60,
)
