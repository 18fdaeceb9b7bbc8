"""What is held against the truth in the analysis of frozen paths: shares of neurons, and the plateau's overlap."""

from functools import partial

from calibration.influence import FEW, FEWEST
from calibration.targets import Family, Interval, Rejection, Row, Study, Truth
from calibration.worlds import Corpus, Design, World, mediated_world

# A neuron of the plateau and one that is not
PLACES = {"plateau": 5, "other": 25}


def _share(neuron: int) -> Truth:
    def truth(world: World, corpus: Corpus, row: Row) -> float:
        return float(world.mediated[neuron])

    return truth


def confidence_study() -> Study:
    """Shares of two neurons; the overlap where the same neurons have a share each time; its test and verdict."""
    row = {"token_class": "rare", "measure": "norm_share"}
    intervals = [
        Interval(f"share, {name} neuron", {**row, "neuron": neuron}, _share(neuron)) for name, neuron in PLACES.items()
    ]
    along = {**row, "neuron": PLACES["plateau"], "measure": "frequency_share"}
    intervals.append(Interval("share along the frequencies, plateau neuron", along, _share(PLACES["plateau"])))
    first = {**row, "neuron": 0}
    overlap = ("overlap", "overlap_low", "overlap_high")
    intervals.append(Interval("overlap", first, None, overlap, "overlap", SAME))
    tests = (Rejection("overlap", first), Rejection("mainly this path (verdict)", first, "verdict", "supported"))
    return Study("confidence_neurons", tuple(intervals), tests)


# Without any share the overlap is 0 in every lake: nothing to cover
SAME = ("weak", "strong", "strong, 8 documents")
FROZEN = Family(
    "frozen",
    (
        Design("none", mediated_world),
        # without a share above one half the test has nothing to count: here half of all neurons have one
        Design("anywhere", partial(mediated_world, share=0.7, anywhere=True), is_anew=True),
        Design("weak", partial(mediated_world, share=0.35), effect=0.35),
        Design("strong", partial(mediated_world, share=0.7), effect=0.7),
        Design("strong, 8 documents", partial(mediated_world, share=0.7), FEW, effect=0.7, is_tested=False),
    ),
    (confidence_study(),),
    ("frozen",),
    (Study("plateau_stability", effort=FEWEST),),
    "plateau neurons have on average 0, 0.35, 0.7 of their effect through a path, each 0.25 more or less, the rest "
    "none; anywhere: half of all neurons have 0.7, others in each lake",
    n_check=60,
)
