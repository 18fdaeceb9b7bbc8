"""What is held against the truth in the analyses of training: changes since the first checkpoint, and their tests."""

from calibration.sweeps import EMERGED, STEPS, emerging_world, learning_world, still_world
from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.worlds import N_CORE, Corpus, Design, World
from queries.dynamics import Effort

LAST = STEPS[-1]
TESTED = ("loss", "delta_bias", "kappa", "plateau_size", "participation", "d95")
FEWER = Effort(replicates=400, halves=2)
# In a world whose law widens, the curve does change: only the verdict must not be fooled.
UNCHANGED = ("still", "emerging", "emerging, 8 documents")


def _size(world: World, corpus: Corpus, row: Row) -> float:
    """The neurons of the planted plateau."""
    return float(N_CORE)


def dynamics_study() -> Study:
    """Levels and changes at the last checkpoint; tests of the changes, and the verdict."""
    rows = {
        name: {"token_class": "rare", "measure": name, "step": LAST}
        for name in ("loss", "delta_bias", "kappa", "plateau_size", "participation", "d95")
    }
    change = ("difference", "difference_low", "difference_high")
    wide = ("difference", "wide_low", "wide_high")
    kept = UNCHANGED
    intervals = [
        *(Interval(f"{name} at the end", rows[name], designs=kept) for name in rows if name != "plateau_size"),
        Interval("plateau_size at the end", rows["plateau_size"], _size, designs=kept),
        *(Interval(f"change of {name}", rows[name], None, change, "difference", kept) for name in TESTED),
        Interval("simultaneous change of delta_bias", rows["delta_bias"], None, wide, "difference", kept),
        Interval("overlap", {**rows["loss"], "measure": "overlap", "step": STEPS[-2]}, designs=kept),
    ]
    contrast = {"token_class": "rare_minus_common", "measure": "delta_bias", "step": LAST}
    intervals.append(Interval("change of delta_bias, rare minus common", contrast, None, change, "difference", kept))
    tests = [
        *(
            Rejection(f"change of {name}", rows[name], designs=kept)
            for name in ("loss", "delta_bias", "kappa", "participation")
        ),
        Rejection("change of delta_bias when it is planted", {**rows["delta_bias"], "step": EMERGED}, designs=kept),
        Rejection("change of delta_bias, rare minus common", contrast, designs=kept),
        Rejection("three regimes emerge (verdict)", rows["delta_bias"], "verdict", "supported"),
    ]
    return Study("dynamics", tuple(intervals), tuple(tests), FEWER)


SWEEPS = Family(
    "sweeps",
    (
        Design("still", still_world),
        Design("learning", learning_world, is_anew=True),
        Design("emerging", emerging_world, effect=1.5),
        Design("emerging, 8 documents", emerging_world, Corpus(documents=8, positions=36), effect=1.5, is_tested=False),
    ),
    (dynamics_study(),),
    ("sweep", "activations"),
    words="five checkpoints; still: nothing changes after the first; learning: the loss falls and one smooth law of "
    "the influences widens; emerging: rare tokens get a plateau 1.5 above a power law at the third",
    n_check=20,
)
