"""What is held against the truth in the analyses of coordination, clustering and weights of the plateau's neurons."""

from functools import partial
from typing import Any

from calibration.influence import FEW, FEWEST
from calibration.targets import Family, Interval, Rejection, Study
from calibration.worlds import Design, coupled_world, sloping_world
from queries.stats import coordination, module_measures, set_tests, spectra_groups

# Draws for tests, and for intervals, which no null enters
GROUPS = coordination.Effort(groups=99, shifts=2, other=2), coordination.Effort(groups=2, shifts=2, other=2)
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
    *,
    is_fixed: bool,
) -> Study:
    """Intervals of `rows` where the world is fixed, in `designs` (all if empty); tests where it is drawn anew."""
    if is_fixed:
        return Study(slug, tuple(Interval(name, row, designs=designs) for name, row in rows.items()), (), efforts[1])
    return Study(slug, (), tuple(Rejection(name, row) for name, row in rows.items()), efforts[0])


def studies(*, is_fixed: bool) -> tuple[Study, ...]:
    """All analyses that the family of lakes is for."""
    dimension = {name: _rare(name) for name in ("d95", "participation", "entropy")}
    dimension["d95, rare minus common"] = {**dimension["d95"], "token_class": "rare_minus_common"}
    pairs = {
        "mean |r|": _rare("mean_abs_r"),
        "mean r": _rare("mean_r"),
        "mean r with the rest": _rare("mean_r", "plateau_x_rest"),
    }
    neighbours = {name: {"token_class": "rare", "measure": name} for name in ("influence", "membership")}
    tails = {name: {"side": "in", "group": "plateau", "measure": name} for name in ("hill_alpha", "stable_rank")}
    study = partial(_study, is_fixed=is_fixed)
    return (
        study("effective_dimension", dimension, GROUPS),
        study("coactivation", pairs, GROUPS),
        study("modularity", {name: _rare(name) for name in ("signed_q", "mg_q")}, MODULES),
        study("kmeans_structure", _in_spaces("kmeans_silhouette", "ward_silhouette"), SETS),
        study("hopkins", _in_spaces("hopkins"), SETS),
        study("influence_autocorrelation", neighbours, (None, None), OF_WEIGHTS),
        study("spectra", tails, SPECTRA, OF_WEIGHTS),
    )


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
        Design("none", coupled_world, is_anew=True),
        Design("weak", partial(coupled_world, coupling=0.3), is_anew=True, effect=0.3),
        Design("strong", partial(coupled_world, coupling=0.6), is_anew=True, effect=0.6),
    ),
    studies(is_fixed=False),
    PARTS,
    UPSTREAM,
    "share of the variance that clusters of plateau neurons share 0, 0.3, 0.6; each lake with other neurons",
)
OF_GROUPS = ("effective_dimension", "coactivation", "modularity", "kmeans_structure", "hopkins")
SLOPING = Family(
    "sloping",
    (Design("smooth", sloping_world, is_anew=True),),
    tuple(study for study in studies(is_fixed=False) if study.slug in OF_GROUPS),
    PARTS,
    UPSTREAM,
    "clusters among all of 260 neurons, sharing 0 to 0.4 of their variance in a straight line with ln influence, and "
    "so the size of activations: the plateau is only the top of the ranking, nothing special; each lake with others",
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
