"""What a statistic of sets is asked of: the neurons of a run, the spaces they are points in, and groups of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.groups import strata
from queries.stats.point_sets import Array, Index, Space, unit_rows
from queries.stats.trend import windows
from queries.stats.words import counted

GROUPS = ("plateau", "power_law", "decay")
MIN_NEURONS = 5
MAX_NEURONS = 60
MIN_POSITIONS = 20
N_WEIGHT_BLOCKS = 20


@dataclass(frozen=True)
class Neurons:
    """What is known of the N neurons of a run: `regime`, `is_core`, `influence`, `mean` and `sd` of the activation.

    `is_gated`: the sign of a neuron is arbitrary, and so is that of its mean.
    """

    regime: NDArray[np.object_]
    is_core: NDArray[np.bool_]
    influence: Array
    mean: Array
    sd: Array
    is_gated: bool = False

    def strata(self, m: int) -> dict[str, Index]:
        """The stratum (N,) of each neuron by kind of matching, for a group of m: tenths of influence; mean and sd.

        Fewer strata where tenths would hold less than four times the group: a pool that is hardly more than the group
        would give the group itself as its null. Of mean and sd, which share the strata, that leaves halves or thirds.
        """
        n_strata = max(1, min(10, len(self.influence) // (4 * m)))
        side = int(np.sqrt(n_strata))
        return {
            "activation": side * strata(np.abs(self.mean) if self.is_gated else self.mean, side)
            + strata(self.sd, side),
            "influence": strata(np.nan_to_num(self.influence), n_strata),
        }


def activation_space(activation: NDArray[np.float32], document: Index, token_class: str) -> Space:
    """The space of activation profiles from the `activation` (T, N) at the positions of a class."""
    return Space("activation", token_class, unit_rows(activation.T, is_centred=True), document, is_centred=True)


def ranked_windows(neurons: Neurons, known: NDArray[np.bool_], members: Index) -> Index:
    """Groups (W, m) of the ranking by influence, of `known` neurons that are neither `members` nor in the core."""
    return windows(np.where(known & ~neurons.is_core, neurons.influence, np.nan), members)


def weight_space(weight: NDArray[np.float32] | None, n_neurons: int, rng: np.random.Generator) -> Space:
    """The space of directions of `weight` (N, d), without columns where there is none; 20 random blocks of columns."""
    if weight is None:
        weight = np.zeros((n_neurons, 0), dtype=np.float32)
    block = rng.permutation(np.arange(weight.shape[1]) % N_WEIGHT_BLOCKS).astype(np.int64)
    return Space("weight", "all", unit_rows(weight, is_centred=False), block, is_centred=False)


def members_of(neurons: Neurons, known: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Index]:
    """Neurons of each group, those that do not vary left out; larger groups are cut to a random part.

    All groups are at most as large as the plateau's stable core, and never above 60: what is compared has equal size.
    """
    of_group = {
        name: np.flatnonzero((neurons.regime == name) & known & (neurons.is_core if name == "plateau" else True))
        for name in GROUPS
    }
    core = len(of_group["plateau"])
    size = min(core, MAX_NEURONS) if core >= MIN_NEURONS else MAX_NEURONS
    return {
        name: members if len(members) <= size else np.sort(rng.choice(members, size, replace=False))
        for name, members in of_group.items()
    }


def shortage(space: Space, members: Index) -> str:
    """Why a group has no statistic in a space; empty where it has one."""
    if space.name == "weight" and not space.rows.shape[1]:
        return "this run has no output weights"
    if space.name == "activation" and space.rows.shape[1] < MIN_POSITIONS:
        return f"only {counted(space.rows.shape[1], 'position')} of this class; at least {MIN_POSITIONS} are needed"
    if len(members) < MIN_NEURONS:
        return f"only {counted(len(members), 'neuron')} in this group; at least {MIN_NEURONS} are needed"
    return ""
