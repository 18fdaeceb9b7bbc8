"""The ranked curves of a run by token class and sign group, assessed on the same documents, and the verdict on each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import N_REPLICATES, document_weights
from queries.stats.corrected import Corrected
from queries.stats.document_sums import TOKEN_CLASSES, ClassSums, DocumentSums
from queries.stats.plateau import Assessment, assess
from queries.stats.ranking import split_half_reliability
from queries.stats.three_regimes import QUANTITIES
from queries.stats.verdict import UNDECIDABLE, Evidence, decide

SIGN_GROUPS = ("all", "boost", "suppress")
EXCESS = "plateau_excess"


@dataclass(frozen=True)
class Cell:
    """One token class and sign group: its sums, the assessment of its curve, the reliability of its ranking."""

    sums: ClassSums
    assessment: Assessment
    reliability: float
    n_neurons: int


def sign_members(signed: NDArray[np.floating]) -> dict[str, NDArray[np.bool_]]:
    """Which neurons (N,) are in each of `SIGN_GROUPS`, by the sign of their mean delta `signed` (N,).

    >>> {name: member.tolist() for name, member in sign_members(np.array([1.0, 0.0, -1.0])).items()}
    {'all': [True, True, True], 'boost': [True, False, False], 'suppress': [False, False, True]}
    """
    return {"all": np.ones(len(signed), dtype=bool), "boost": signed > 0, "suppress": signed < 0}


def assess_cells(sums: DocumentSums, rng: np.random.Generator) -> dict[tuple[str, str], Cell]:
    """Every class and sign group, on the same resamples; a class with all positions has what `all` has."""
    weights = document_weights(len(sums.documents), N_REPLICATES, rng)
    overall = sums.classes["all"]
    members = sign_members(overall.mean(overall.signed))
    cells: dict[tuple[str, str], Cell] = {}
    for token_class in TOKEN_CLASSES:
        of_class = sums.classes[token_class]
        if sums.is_everything(token_class):
            cells |= {(token_class, sign_group): cells["all", sign_group] for sign_group in members}
            continue
        for sign_group, member in members.items():
            absolute = of_class.absolute[:, member]
            cells[token_class, sign_group] = Cell(
                of_class,
                assess(absolute, of_class.counts, weights, rng),
                split_half_reliability(absolute, of_class.counts, rng),
                int(member.sum()),
            )
    return cells


def decide_cell(cell: Cell, corrected: Corrected, q_smooth: float, q_high: float) -> tuple[str, str]:
    """The verdict on a plateau beyond a smooth law, and why.

    `corrected` are the nine quantities with the bias of ranking taken out; `q_smooth` is the corrected p of the test
    against smooth laws, `q_high` that of the upper end of its Monte-Carlo error.
    """
    found, excess = cell.assessment, QUANTITIES.index(EXCESS)
    if found.reason:
        return UNDECIDABLE, found.reason
    return decide(
        Evidence(
            n_documents=cell.sums.n_documents,
            n_positions=cell.sums.n_positions,
            is_plateau=bool(found.observed.is_plateau[0]),
            plateau_rule_share=float(np.mean(found.drawn.is_plateau)),
            delta_bic_1=float(found.observed.delta_bic_1[0]),
            delta_bic_0=float(found.observed.delta_bic_0[0]),
            excess_low=float(corrected.low[excess]),
            excess_high=float(corrected.high[excess]),
            reliability=cell.reliability,
            p_smooth=found.p_statistic,
            q_smooth=q_smooth,
            q_high=q_high,
            critical=found.critical,
            law=found.law.replace("_", " "),
        )
    )
