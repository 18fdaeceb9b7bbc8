"""What is searched for modules: groups of equal size, and as many rare as common positions of each document."""

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import Array
from queries.stats.groups import Index
from queries.stats.words import counted

GROUPS = ("plateau", "power_law", "decay")
MIN_NEURONS = 5


def equal_positions(document: Index, is_rare: NDArray[np.bool_]) -> dict[str, Index]:
    """Rows of as many rare as common positions in every document, spread evenly over those there are; in order.

    Not drawn: a verdict would hang on the seed. With one class only, all of its positions.

    >>> rows = equal_positions(np.zeros(7, dtype=np.int64), np.arange(7) < 2)
    >>> [rows[name].tolist() for name in ("rare", "common")]
    [[0, 1], [2, 4]]
    """
    rows = {"rare": np.flatnonzero(is_rare), "common": np.flatnonzero(~is_rare)}
    if not all(len(each) for each in rows.values()):
        return rows
    chosen: dict[str, list[Index]] = {"rare": [], "common": []}
    for one in np.unique(document):
        of_document = {name: each[document[each] == one] for name, each in rows.items()}
        size = min(len(each) for each in of_document.values())
        for name, each in of_document.items():
            chosen[name].append(each[np.arange(size) * len(each) // max(size, 1)])
    return {name: np.concatenate(each) for name, each in chosen.items()}


def module_groups(
    regime: NDArray[np.object_], is_core: NDArray[np.bool_], influence: Array
) -> tuple[dict[str, Index], str]:
    """Members of each group, as many as the plateau's core has, and why there are none.

    `regime`, `is_core` and `influence` (N,) describe the neurons; power law and decay give the neurons evenly spread
    over their ranks.
    """
    members = {name: np.flatnonzero(regime == name) for name in GROUPS}
    members["plateau"] = members["plateau"][is_core[members["plateau"]]]
    m = len(members["plateau"])
    if m < MIN_NEURONS:
        return {}, f"the stable core of the plateau has {counted(m, 'neuron')}; at least {MIN_NEURONS} are needed"
    groups = {"plateau": members["plateau"]}
    for name in GROUPS[1:]:
        by_influence = members[name][np.argsort(-influence[members[name]], kind="stable")]
        if len(by_influence) >= m:
            groups[name] = by_influence[np.linspace(0, len(by_influence) - 1, m).round().astype(int)]
    return groups, ""
