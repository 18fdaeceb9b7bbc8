"""What is held against the truth in the analyses of coordination, clustering and weights of the plateau's neurons."""

from functools import partial
from typing import Any

from calibration.influence import FEW, FEWEST
from calibration.targets import Family, Interval, Rejection, Study
from calibration.worlds import N_RANKED, Design, coupled_world, opposed_world, sloping_world
from queries.stats import coordination, module_measures, set_tests, spectra_groups

# Draws for tests, and for intervals, which no null enters
GROUPS = (
    coordination.Effort(groups=99, shifts=2, other_shifts=2),
    coordination.Effort(groups=2, shifts=2, other_shifts=2),
)
MODULES = (
    module_measures.Effort(groups=39, sweep=2, shifts=39, planted=2, restarts=4),
    module_measures.Effort(groups=2, sweep=2, shifts=2, planted=2, restarts=4),
)
SETS = (
    set_tests.Effort(groups=39, clouds=39, other=2, planted=2),
    set_tests.Effort(groups=2, clouds=2, other=2, planted=2),
)
SPECTRA = (
    spectra_groups.Effort(groups=59, halves=5, permuted=2),
    spectra_groups.Effort(groups=2, halves=99, permuted=2),
)


def _rare(measure: str, group: str = "plateau", **more: str) -> dict[str, str]:
    return {"token_class": "rare", "group": group, "measure": measure, **more}


# What resamples weights asks nothing of documents, but its group of neurons would change with few of them
OF_WEIGHTS = ("coupled",)


def _study(
    slug: str,
    rows: dict[str, dict[str, str]],
    efforts: tuple[Any, Any],
    designs: tuple[str, ...] = (),
    claims: tuple[tuple[str, str, str], ...] = (),
    *,
    is_fixed: bool,
) -> Study:
    """Intervals of `rows` where the world is fixed, in `designs` (all if empty); tests where it is drawn anew.

    `claims` are verdicts: a name, the name of their row, and what must not be said of it without reason.
    """
    if is_fixed:
        return Study(slug, tuple(Interval(name, row, designs=designs) for name, row in rows.items()), (), efforts[1])
    tests = [Rejection(name, row) for name, row in rows.items()]
    tests += [Rejection(f"{name} (verdict)", rows[row], "verdict", said) for name, row, said in claims]
    return Study(slug, (), tuple(tests), efforts[0])


# Which verdict is wrong where nothing is planted; only verdicts that so few draws and neurons can give are counted
YES, NO = "supported", "contradicted"


def studies(*, is_fixed: bool) -> tuple[Study, ...]:
    """All analyses that the family of lakes is for."""
    study = partial(_study, is_fixed=is_fixed)
    return (
        study("effective_dimension", _dimension(), GROUPS, claims=(("fewer dimensions", "d95", YES),)),
        study("coactivation", _pairs(), GROUPS),
        study("modularity", _modules(), MODULES),
        study("kmeans_structure", _in_spaces("kmeans_silhouette", "ward_silhouette", "gap", "ward_cophenetic"), SETS),
        study("hopkins", _in_spaces("hopkins"), SETS),
        study(
            "influence_autocorrelation", _neighbours(), (None, None), OF_WEIGHTS, (("neighbours", "membership", NO),)
        ),
        study("spectra", _tails(), SPECTRA, OF_WEIGHTS, (("heavier tail", "hill_alpha", YES),)),
    )


def _neighbours() -> dict[str, dict[str, str]]:
    return {name: {"token_class": "rare", "measure": name} for name in ("influence", "membership")}


def _dimension() -> dict[str, dict[str, str]]:
    rows = {name: _rare(name) for name in ("d95", "participation", "entropy")}
    return {**rows, "d95, rare minus common": {**rows["d95"], "token_class": "rare_minus_common"}}


def _pairs() -> dict[str, dict[str, str]]:
    """What the answer and the figure show of pairs of neurons."""
    return {
        "mean |r|": _rare("mean_abs_r"),
        "mean r": _rare("mean_r"),
        "median r": _rare("median_r"),
        "share of r above 0": _rare("share_positive"),
        "share of |r| above 0.5": _rare("share_strong"),
        "share at 80 to 100 degrees": _rare("share_orthogonal"),
        **OF_REST,
        "share of r below -0.1 with the rest": _rare("share_negative", "plateau_x_rest"),
        "mean |r| with the power law": _rare("mean_abs_r", "plateau_x_power_law"),
    }


OF_REST = {"mean r with the rest": _rare("mean_r", "plateau_x_rest")}
AGAINST = ("against the rest", "mean r with the rest", YES)


def _modules() -> dict[str, dict[str, str]]:
    """Both qualities of the verdict, that of the papers, and of the sweep the ends of both scales."""
    rows = {name: _rare(name) for name in ("signed_q", "mg_q", "abs_q")}
    return rows | {f"signed_q at {words}": _rare(f"signed_q_{name}") for name, words in SWEEP.items()}


SWEEP = {"gamma_0.5": "half the resolution", "gamma_2": "twice the resolution", "density_25": "a quarter of the pairs"}


def _tails() -> dict[str, dict[str, str]]:
    """With 16 eigenvalues the largest 5 and 10 % are the same two: the scan is seen at 20 %."""
    measures = ("hill_alpha", "hill_alpha_20", "hill_alpha_rest", "stable_rank", "spectral_entropy")
    return {name: {"side": "in", "group": "plateau", "measure": name} for name in measures}


def _in_spaces(*measures: str) -> dict[str, dict[str, str]]:
    """The rows of the plateau in the spaces of activations and of weights."""
    return {
        f"{measure}, {space}": {**_rare(measure), "space": space, "token_class": token_class}
        for measure in measures
        for space, token_class in (("activation", "rare"), ("weight", "all"))
    }


PARTS, UPSTREAM = ("activations", "weights"), (Study("plateau_stability", effort=FEWEST),)
COUPLED = Family(
    "coupled",
    (
        Design("none", partial(coupled_world, n=N_RANKED), is_anew=True),
        Design("weak", partial(coupled_world, coupling=0.3, n=N_RANKED), is_anew=True, effect=0.3),
        Design("strong", partial(coupled_world, coupling=0.6, n=N_RANKED), is_anew=True, effect=0.6),
    ),
    studies(is_fixed=False),
    PARTS,
    UPSTREAM,
    f"share of the variance that clusters of plateau neurons share 0, 0.3, 0.6, among {N_RANKED}; each lake with other "
    "neurons",
)
# As many turns as the verdict needs to tell the neurons from the same turned within documents
TURNED = coordination.Effort(groups=99, shifts=39, other_shifts=2), GROUPS[1]
OPPOSED = Family(
    "opposed",
    (
        Design("weak", partial(opposed_world, against=0.005), is_anew=True, effect=0.005),
        Design("strong", partial(opposed_world, against=0.02), is_anew=True, effect=0.02),
    ),
    (_study("coactivation", OF_REST, TURNED, claims=(AGAINST,), is_fixed=False),),
    ("activations",),
    UPSTREAM,
    "plateau neurons share 0.005, 0.02 of their variance with each other, and against all others; each lake with other "
    "neurons",
)
OF_GROUPS = ("effective_dimension", "coactivation", "modularity", "kmeans_structure", "hopkins")
SLOPING = Family(
    "sloping",
    (Design("smooth", sloping_world, is_anew=True),),
    tuple(study for study in studies(is_fixed=False) if study.slug in OF_GROUPS),
    PARTS,
    UPSTREAM,
    f"clusters among all of {N_RANKED} neurons, sharing 0 to 0.4 of their variance in a straight line with ln "
    "influence, and so the size of activations: the plateau is only the top of the ranking, nothing special; each lake "
    "with others",
)
FIXED = Family(
    "fixed",
    (
        Design("coupled", partial(coupled_world, coupling=0.5), effect=0.5, is_tested=False),
        Design("coupled, 8 documents", partial(coupled_world, coupling=0.5), FEW, effect=0.5, is_tested=False),
    ),
    studies(is_fixed=True),
    PARTS,
    UPSTREAM,
    "the same neurons in every lake, clusters of plateau neurons share 0.5 of their variance",
)
