"""What is held against the truth in the analyses of trajectories, which are files beside no lake.

A draw is one file, or for `grokking` six, of six weight decays; its truth is in the name of its design.
"""

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from calibration.targets import Family, Interval, Rejection, Row, Study
from calibration.trajectories import frame, write_states
from calibration.worlds import Corpus, Design, World, flat_world
from queries import Session, load
from queries.grokking import ALL
from queries.stats.phase_track import Effort
from warehouse.trajectories import connect_states

PART = "trajectories"
KINDS = {"none": "no_arc", "full V": "full_v", "fold-back": "fold_back", "delayed escape": "delayed_escape"}
ALONE = {"healthy": "full_v", "collapse": "collapse", "late escape": "late_escape"}
STEPS = (0, 1, 3, 10, 30, 60, 100, 200, 400, 800, 1600)
HEALTHY = (0, 1, 3, 10, 20, 30, 40, 60, 80, 100, 200, 300, 400, 600, 800, 1000)
QUICK = Effort(nulls=1, restarts=1)
DECAYS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
EXPONENT, SPREAD = -1.2, 0.2  # of the planted law, and sd of ln escape around it
GRID = tuple(sorted({0, 10, *np.round(np.exp(np.linspace(np.log(20), np.log(60_000), 60))).astype(int).tolist()}))


@dataclass(frozen=True)
class Finite(Rejection):
    """A number that is there or not, such as the step of an alarm."""

    def outcome(self, row: Row, world: World, corpus: Corpus) -> dict[str, float]:
        """1 if it is there."""
        return {"rejects": float(np.isfinite(row["estimate"]))}


def simulate_paths(family: Family, design: Design, seed: int, draws: range) -> dict[str, pl.DataFrame]:
    """Outcomes by analysis of the draws of a design."""
    key = [seed, zlib.crc32(f"{family.name}-{design.name}".encode())]
    world = flat_world(np.random.default_rng(0))
    parts: dict[str, list[pl.DataFrame]] = {study.slug: [] for study in family.studies}
    for draw in draws:
        rng = np.random.default_rng([*key, draw])
        with tempfile.TemporaryDirectory(prefix="calibration-") as name:
            files = _law(Path(name), rng) if design.name == "law" else [_path(Path(name), design, rng)]
            con = connect_states(files)
            con.execute("set threads = 1")
            session = Session(con, seed=seed + draw)
            if design.name == "law":
                # the law is of escapes alone: no crossings are needed, which take long
                session.give("phase", load("phase").estimate(frame("no_arc").clear(), rng))
            run = ALL if design.name == "law" else files[0].stem
            for study in family.studies:
                found = study.outcomes(session.table(study.analysis), [run], [world], design)
                parts[study.slug].append(found.with_columns(run=pl.lit(draw, dtype=pl.Int64)))
    return {slug: pl.concat(found) for slug, found in parts.items()}


def _path(folder: Path, design: Design, rng: np.random.Generator) -> Path:
    """One file: the same class means in all draws of a design, other noise."""
    seed = int(rng.integers(2**32))
    kind, _, rest = design.name.partition(", ")
    steps = HEALTHY if kind in ("healthy", "collapse") else STEPS
    rows = frame(
        {**KINDS, **ALONE}[kind],
        samples=design.corpus.documents * design.corpus.positions, document=design.corpus.positions,
        width=5, seed=seed, steps=steps, model=0,
    )  # fmt: skip
    if rest == "no labels":
        rows = rows.with_columns(label=pl.lit(None, dtype=pl.String))
    path = folder / "path.parquet"
    rows.drop("run", "representation").write_parquet(path)
    return path


def _law(folder: Path, rng: np.random.Generator) -> list[Path]:
    """Six trainings whose escapes follow the planted power law of the weight decay, but for chance."""
    made = []
    for decay in DECAYS:
        middle = float(np.exp(7.0 + EXPONENT * np.log(decay) + SPREAD * rng.standard_normal()))
        made.append(folder / f"decay-{decay}.parquet")
        write_states(
            made[-1], "no_arc", middle=middle, weight_decay=decay, seed=int(rng.integers(2**32)),
            samples=10, width=2, steps=GRID,
        )  # fmt: skip
    return made


def _shapes() -> tuple[Rejection, ...]:
    """Each shape where nothing is planted and where it is itself."""
    made = []
    for probe, words in (("em", "EM"), ("sgd", "gradient")):
        for name, shape in KINDS.items():
            if shape == "no_arc" or (probe == "em" and shape == "delayed_escape"):
                continue  # by EM there is no crossing that an escape could be later than
            row = {"measure": f"shape_{probe}"}
            where = ("none", "none, no labels", *(["late escape"] if name == "delayed escape" else []), name)
            made.append(Rejection(f"{name} by {words} (verdict)", row, "verdict", shape, where))
        alarms = ("none", "none, no labels", "healthy", "collapse")
        made.append(Finite(f"collapse alarm by {words}", {"measure": f"alarm_{probe}"}, designs=alarms))
    return tuple(made)


def _intervals() -> tuple[Interval, ...]:
    where = ("full V", "fold-back")
    made = [Interval("crossing by gradient", {"measure": "crossing_sgd"}, designs=where)]
    for name in ("coordinate_em", "coordinate_sgd", "nc1_labels", "participation"):
        row = {"measure": name, "step": STEPS[-1]}
        made.append(Interval(f"{name} at the last step", row, designs=where))
    return tuple(made)


_CORPUS = Corpus(documents=24, positions=8)
PATHS = Family(
    "paths",
    (
        Design("none", flat_world, _CORPUS),
        Design("none, no labels", flat_world, _CORPUS),
        Design("healthy", flat_world, _CORPUS),
        Design("late escape", flat_world, _CORPUS),
        *(Design(name, flat_world, _CORPUS, effect=1.0) for name in ("full V", "fold-back", "delayed escape")),
        Design("collapse", flat_world, _CORPUS, effect=1.0),
    ),
    (Study("phase", _intervals(), _shapes(), QUICK),),
    (PART,),
    words="trajectories of 192 vectors of 5 numbers in 24 documents at 11 checkpoints: four classes that part, early "
    "or late, and stay apart or come nearer again, noise of which a third is new at every step, or nothing but that "
    "noise; `late escape` parts as late as `delayed escape`, but is no earlier supercritical than structureless "
    "vectors; `healthy` and `collapse`, of 16 checkpoints, for the alarm",
    n_check=10,
)
ESCAPES = Family(
    "escapes",
    (Design("law", flat_world, effect=1.0, is_tested=False),),
    (Study("grokking", (Interval("exponent of the power law", {"measure": "power_exponent"}, lambda *_: EXPONENT),)),),
    (PART,),
    words="six trainings of six weight decays whose escapes follow a power law but for a spread of 0.2 of ln step",
    n_check=10,
)
