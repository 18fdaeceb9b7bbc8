"""Lakes with the pass of sparse autoencoders, and what is held against the truth in its analysis.

Shapes: A atoms, T positions.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from calibration.lakes import N_WORD_CLASSES
from calibration.passes import add_pass
from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.worlds import Array, Corpus, Design, Index, World, flat_world
from extract.top_contexts import TopContexts
from queries.lottery import Effort
from warehouse.connection import connect, frame
from warehouse.schema import TABLES
from warehouse.shards import arrow_schema

ATOMS, CONTEXTS = 60, 60
STEPS = (0, 10, 200)  # the second is at 5 % of the last
SHARED, OWN, DOCUMENT = 0.8, 0.6, 0.5  # spread of codes: of both steps, of one, of a document


def atom_world(rng: np.random.Generator, pure: float = 0.0, settled: bool = False) -> World:
    """Atoms that like one class of words each, by up to `pure` sd; `settled`: late as much as early.

    Otherwise how much they do late has nothing to do with how much they did early.
    """
    return replace(flat_world(rng), pure=pure, settled=settled, seed=int(rng.integers(2**32)))


def add_atoms(lake: Path, run: str, world: World, rng: np.random.Generator) -> None:
    """Add the pass to a run. What atoms like belongs to the model and comes from the world's seed."""
    with connect(lake, [run]) as con:
        tokens = frame(con, "select document, token_id from tokens order by token_index")
    classes = tokens["token_id"].to_numpy() % N_WORD_CLASSES
    document = tokens["document"].to_numpy()
    model = np.random.default_rng(world.seed)
    liked = model.integers(0, N_WORD_CLASSES, ATOMS)
    early, late = model.random((2, ATOMS))
    liking = {STEPS[0]: 0 * early, STEPS[1]: early, STEPS[2]: early if world.settled else late}
    codes = codes_of({step: world.pure * each for step, each in liking.items()}, liked, classes, document, rng)
    add_pass(lake, run, "sae", atom_tables(codes))


def codes_of(
    liking: Mapping[int, Array], liked: Index, classes: Index, document: Index, rng: np.random.Generator
) -> dict[int, Array]:
    """Codes (A, T) at each step: what all steps share, what each has of its own, a document's, and the liked class."""
    shape = (len(liked), len(classes))
    common = SHARED * rng.standard_normal(shape)
    common += DOCUMENT * rng.standard_normal((shape[0], document.max() + 1))[:, document]
    fits = liked[:, None] == classes
    return {step: common + OWN * rng.standard_normal(shape) + each[:, None] * fits for step, each in liking.items()}


def atom_tables(codes: Mapping[int, Array], sae: str = "topk") -> dict[str, pa.Table]:
    """The tables of an autoencoder with these codes (A, T) at each step, of which those above 0 count."""
    steps, atoms, contexts = [], [], []
    for step, values in codes.items():
        n_atoms, n_positions = values.shape
        positive = np.maximum(values, 0).astype(np.float32)
        top = TopContexts(1, n_atoms, CONTEXTS)
        top.update(0, np.arange(n_positions), positive)
        key = {"sae": sae, "step": step}
        variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(positive)))
        facts = {"n_positions": n_positions, "n_atoms": n_atoms, "squared_error": 0.4, "explained_variance": 0.6}
        facts |= {
            "l0": float((positive > 0).sum(axis=0).mean()),
            "dead_share": float((top.key[0].max(axis=1) == 0).mean()),
        }
        facts |= {"lambda_max": float(variances[-1]), "trace": float(variances.sum())}
        steps.append({**key, **facts, "beta_em": 2 * n_atoms / max(facts["trace"], 1e-9)})
        atoms += [
            {**key, "atom": i, "n_active": int(n), "mean_activation": 1.0, "cosine_final": 1.0, "direction": None}
            for i, n in enumerate((positive > 0).sum(axis=1))
        ]
        tokens, activations = top.token_index[0], top.activation[0]
        contexts += [
            {**key, "atom": int(atom), "rank": int(rank), "token_index": int(tokens[atom, rank]),
             "activation": float(activations[atom, rank])}
            for atom, rank in np.argwhere(tokens >= 0)
        ]  # fmt: skip
    rows = {"sae_steps": steps, "sae_atoms": atoms, "sae_contexts": contexts}
    return {name: pa.Table.from_pylist(each, arrow_schema(TABLES[name])) for name, each in rows.items()}


def _row(measure: str) -> Row:
    return {"sae": "topk", "scheme": "word_class", "measure": measure, "step": STEPS[-1]}


def lottery_study(*, is_fixed: bool) -> Study:
    """Where atoms are the same, intervals; where they are drawn anew, how often the verdict is given."""
    row, effort = _row("spearman"), Effort(n_permutations=79, n_replicates=60)
    if is_fixed:
        names = ("spearman", "purity_early", "purity_final", "top_decile", "excess_in_strata")
        return Study("lottery", tuple(Interval(name, _row(name)) for name in names), effort=effort)
    tests = (
        Rejection("early against late", row),
        Rejection("settled early (verdict)", row, "verdict", "supported"),
        Rejection("not settled early (verdict)", row, "verdict", "contradicted", designs=("settled", "weakly settled")),
    )
    return Study("lottery", (), tests, effort)


_TEXT = Corpus(documents=24, positions=36)
_SETTLED = partial(atom_world, settled=True)
ATOMS_ANEW = Family(
    "atoms",
    (
        Design("none", atom_world, _TEXT, is_anew=True),
        Design("pure, unrelated", partial(atom_world, pure=3.0), _TEXT, is_anew=True),
        Design("weakly settled", partial(_SETTLED, pure=1.0), _TEXT, is_anew=True, effect=1.0),
        Design("settled", partial(_SETTLED, pure=3.0), _TEXT, is_anew=True, effect=3.0),
    ),
    (lottery_study(is_fixed=False),),
    ("sae",),
    words="60 atoms that like no class, classes early that have nothing to do with those late, or the same early and "
    "late; each lake with other atoms",
    n_check=20,
)
ATOMS_FIXED = Family(
    "same atoms",
    (
        Design("settled atoms", partial(_SETTLED, pure=3.0), _TEXT, effect=3.0, is_tested=False),
        Design(
            "settled atoms, 8 documents", partial(_SETTLED, pure=3.0), Corpus(documents=8, positions=108), effect=3.0,
            is_tested=False,
        ),
    ),
    (lottery_study(is_fixed=True),),
    ("sae",),
    words="the same 60 atoms in every lake, which like the same classes early and late",
    n_check=20,
)  # fmt: skip
