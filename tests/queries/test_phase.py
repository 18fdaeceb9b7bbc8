"""Phase: planted paths are classified through the whole analysis, noise is no arc, batches do not matter."""

import numpy as np
import polars as pl
import pytest

from calibration.trajectories import frame
from queries import Session, load
from queries.shared import trajectories
from queries.shared.phase_paths import paths
from queries.shared.trajectories import checkpoints
from queries.stats.phase_track import MEASURES, Effort
from warehouse.trajectories import connect_states

PHASE = load("phase")
QUICK = Effort(nulls=1, restarts=1)


def table(kind, effort=QUICK, **options):
    return PHASE.estimate(frame(kind, **options), np.random.default_rng(0), effort)


@pytest.fixture(scope="module")
def full():
    return table("full_v", effort=Effort())


def row(found, measure, step=1600):
    return found.filter(measure=measure, step=step).row(0, named=True)


@pytest.mark.parametrize(
    ("kind", "by_em", "by_gradient"),
    [
        ("full_v", "full_v", "full_v"),
        ("fold_back", "fold_back", "fold_back"),
        ("no_arc", "no_arc", "no_arc"),
    ],
)
def test_planted_paths_have_their_shape(kind, by_em, by_gradient):
    found = table(kind)
    assert row(found, "shape_em")["verdict"] == by_em
    assert row(found, "shape_sgd")["verdict"] == by_gradient
    assert row(found, "shape_em")["reason"]


def test_an_escape_is_delayed_only_where_the_vectors_cross_before_structureless_ones():
    found = table("delayed_escape")
    assert row(found, "shape_sgd")["verdict"] == "delayed_escape"
    assert row(found, "crossing_sgd")["verdict"] == "of_vectors"
    # by EM there is no crossing that an escape could be later than
    assert row(found, "shape_em")["verdict"] != "delayed_escape"
    late = table("late_escape")
    assert row(late, "shape_sgd")["verdict"] == "undecidable"
    assert row(late, "crossing_sgd")["verdict"] == "of_probe"
    for measure in ("shape_sgd", "crossing_sgd"):
        assert "structureless vectors cross there too" in row(late, measure)["reason"]
    assert "so the crossing is the probe's own" in PHASE.answer(late)


def test_a_training_that_is_read_from_a_later_step_on_begins_at_a_tenth_too():
    later = frame("full_v", samples=60).with_columns(pl.col("step") + 1000)
    found = PHASE.estimate(later, np.random.default_rng(0), QUICK)
    first = found.filter(measure="coordinate_sgd").sort("step").row(0, named=True)
    assert (first["step"], first["estimate"]) == (1000, pytest.approx(np.log(0.1)))
    assert first["null_mean"] == pytest.approx(np.log(0.1))


def test_vectors_that_do_not_change_have_a_coordinate_that_does_not():
    still = pl.concat(frame("full_v", samples=60, steps=[200]).with_columns(step=pl.lit(s, pl.Int64)) for s in range(4))
    found = PHASE.estimate(still, np.random.default_rng(0), QUICK)
    for measure in ("coordinate_em", "coordinate_em_without_top", "nc1_em"):
        each = found.filter(measure=measure)
        assert each["estimate"].n_unique() == each["null_mean"].n_unique() == 1, measure


def test_the_coordinate_of_a_sample_is_made_with_the_samples_largest_variance(monkeypatch):
    """Noise of many numbers: the largest variance of few vectors is too large, in the data as in the null."""
    monkeypatch.setattr(trajectories, "SAMPLE", 100)
    rows = frame("no_arc", samples=1000, width=40, steps=[0, 1])
    found = PHASE.estimate(rows, np.random.default_rng(0), Effort())
    assert row(found, "coordinate_sgd", 0)["estimate"] == pytest.approx(np.log(0.1))
    coordinate = row(found, "coordinate_em", 1)
    assert coordinate["null_low"] - 0.1 < coordinate["estimate"] < coordinate["null_high"] + 0.1
    all_of_them = np.log(row(found, "beta_em", 1)["estimate"] * row(found, "lambda_max", 1)["estimate"])
    assert all_of_them < coordinate["estimate"] - 0.3
    assert row(found, "beta_c", 1)["estimate"] == pytest.approx(1 / row(found, "lambda_max", 1)["estimate"])


def test_a_checkpoint_without_nc1_or_with_0_does_not_change_what_the_path_is_read_by():
    rows = frame("full_v")
    label, apart = pl.col("label"), pl.col("step") == 1600
    gone = rows.with_columns(label=pl.when(pl.col("step") != 10).then(label))
    found = row(PHASE.estimate(gone, np.random.default_rng(0), QUICK), "shape_em")
    assert found["verdict"] == "full_v"
    none = rows.with_columns(label=pl.when(pl.col("step") == 10).then(label))
    only = row(PHASE.estimate(none, np.random.default_rng(0), QUICK), "shape_em")["reason"]
    assert only == "1 of 11 checkpoints have the coordinate and ln NC1 by labels; 5 are needed"
    points = pl.concat_list(label.cast(pl.Float32), *[pl.lit(float(i), pl.Float32) for i in range(5)])
    rows = frame("no_arc", samples=60, fresh=1.0).with_columns(vector=pl.when(apart).then(points).otherwise("vector"))
    last = PHASE.estimate(rows, np.random.default_rng(0), QUICK)
    assert row(last, "nc1_labels")["estimate"] < 1e-9
    assert row(last, "drop_sgd")["estimate"] > 20


def test_reasons_name_the_ratio_of_the_probes_own_classes():
    rows = frame("no_arc", samples=80).with_columns(label=pl.lit(None, dtype=pl.String))
    found = PHASE.estimate(rows, np.random.default_rng(0), QUICK)
    for probe in ("em", "sgd"):
        assert f"of ln nc1_ratio_{probe} less the null's" in row(found, f"shape_{probe}")["reason"]


def test_every_sample_is_left_out_once_where_there_are_few():
    rows = frame("full_v", samples=9).with_columns(
        document=pl.lit(None, dtype=pl.String), label=pl.lit(None, pl.String)
    )
    (path,) = paths([rows], np.random.default_rng(0), QUICK)
    trace = MEASURES.index("trace")
    assert path.without.shape[1] >= 5
    assert (path.without[0, :, trace] != path.values[0, trace]).all()
    groups = next(checkpoints([rows])).group
    assert path.without.shape[1] == len(set(groups.tolist()))


def test_without_labels_a_probe_that_sees_classes_in_noise_makes_no_arc_of_it():
    hidden = pl.lit(None, dtype=pl.String)
    for seed in range(3):
        rows = frame("no_arc", seed=seed, samples=80, fresh=1.0).with_columns(label=hidden)
        found = PHASE.estimate(rows, np.random.default_rng(0), QUICK)
        assert {row(found, f"shape_{probe}")["verdict"] for probe in ("em", "sgd")} == {"no_arc"}
    planted = PHASE.estimate(frame("full_v").with_columns(label=hidden), np.random.default_rng(0), QUICK)
    assert row(planted, "shape_em")["verdict"] == "full_v"
    assert planted.filter(measure="nc1_labels").is_empty()


def test_the_coordinate_is_that_of_the_planted_mixture(full):
    """Four classes at the same distance from the middle, noise of variance 1: beta is 1, lambda_max what they make."""
    last = row(full, "beta_em")
    assert last["low"] * 0.8 < 1 < last["high"] * 1.3
    coordinate, top = row(full, "coordinate_em"), row(full, "lambda_max")
    assert coordinate["estimate"] == pytest.approx(np.log(last["estimate"] * top["estimate"]))
    assert row(full, "beta_c")["estimate"] == pytest.approx(1 / top["estimate"])
    assert coordinate["low"] < coordinate["estimate"] < coordinate["high"]


def test_structure_lies_above_the_null_and_noise_does_not(full):
    assert row(full, "coordinate_em")["low"] > row(full, "coordinate_em")["null_high"]
    noise = row(table("no_arc", effort=Effort()), "coordinate_em")
    assert noise["low"] < noise["null_mean"] < noise["high"]


def test_em_never_crosses_and_the_gradient_begins_at_a_tenth(full):
    assert "not below 0 at the first checkpoint" in row(full, "crossing_em")["reason"]
    assert row(full, "coordinate_sgd", 0)["estimate"] == pytest.approx(np.log(0.1))
    crossing = row(full, "crossing_sgd")
    assert crossing["low"] <= crossing["estimate"] <= crossing["high"]
    assert crossing["null_low"] <= crossing["null_mean"] <= crossing["null_high"]
    assert "by gradient it crosses 0 at step" in PHASE.answer(full).lower()


def test_scale_and_shift_of_the_vectors_do_not_matter():
    rows = frame("full_v", samples=100)
    moved = rows.with_columns(vector=pl.col("vector").list.eval(pl.element() * 50 + 1000))
    ours, theirs = (PHASE.estimate(each, np.random.default_rng(0), QUICK) for each in (rows, moved))
    for measure in ("coordinate_em", "nc1_labels", "anisotropy", "participation", "crossing_sgd"):
        assert row(theirs, measure)["estimate"] == pytest.approx(row(ours, measure)["estimate"], rel=0.02), measure


def test_rows_in_batches_give_the_same():
    rows = frame("full_v", samples=100)
    whole = PHASE.estimate(rows, np.random.default_rng(0), QUICK)
    seed = np.random.default_rng(int(np.random.default_rng(0).integers(2**32)))
    parts = PHASE.stream(rows.iter_slices(37), seed, QUICK)
    numbers = [name for name, kind in whole.schema.items() if kind == pl.Float64]
    assert parts.drop(numbers).equals(whole.drop(numbers))
    for name in numbers:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-6)


def test_runs_of_a_session_are_streamed_one_by_one(tmp_path):
    for kind in ("full_v", "no_arc"):
        frame(kind, samples=60).drop("run", "representation").write_parquet(tmp_path / f"{kind}.parquet")
    con = connect_states([tmp_path / "no_arc.parquet", tmp_path / "full_v.parquet"])
    found = Session(con).table(PHASE.with_effort(QUICK))
    assert found["run"].unique().sort().to_list() == ["full_v", "no_arc"]
    alone = Session(connect_states([tmp_path / "full_v.parquet"])).table(PHASE.with_effort(QUICK))
    assert found.filter(run="full_v").equals(alone, null_equal=True)


@pytest.mark.parametrize("documents", [1, 4])
def test_few_documents_have_estimates_without_intervals(documents):
    found = table("full_v", samples=60, document=60 // documents)
    assert found["low"].is_nan().all()
    assert (found.filter(measure="coordinate_em")["reason"].str.contains("at least 5 are needed")).all()
    assert found.filter(measure="coordinate_em")["estimate"].is_finite().all()
    assert row(found, "shape_em")["verdict"] == "undecidable"
    assert PHASE.answer(found)


def test_samples_are_resampled_where_no_document_is_told():
    rows = frame("full_v", samples=80).with_columns(document=pl.lit(None, dtype=pl.String))
    found = row(PHASE.estimate(rows, np.random.default_rng(0), QUICK), "coordinate_em")
    assert found["n"] == 80
    assert found["low"] < found["estimate"] < found["high"]


def test_vectors_that_do_not_vary_have_a_reason():
    rows = frame("full_v", samples=60).with_columns(
        vector=pl.when(pl.col("step") == 1600).then(pl.lit([1.0] * 6, dtype=pl.List(pl.Float32))).otherwise("vector")
    )
    found = PHASE.estimate(rows, np.random.default_rng(0), QUICK)
    last = row(found, "coordinate_em")
    assert np.isnan(last["estimate"])
    assert last["reason"] == "the vectors do not vary"
    assert PHASE.answer(found)


def test_an_alarm_is_given_where_classes_fall_into_one():
    steps = [0, 1, 3, 10, 20, 30, 40, 60, 80, 100, 200, 300, 400, 600, 800, 1000]
    seen = table("collapse", steps=steps)
    assert np.isfinite(row(seen, "alarm_em", 1000)["estimate"])
    assert row(seen, "alarm_em", 1000)["estimate"] >= 200
    assert "loss is not known" in row(seen, "lead_em", 1000)["reason"]
    assert np.isnan(row(table("full_v", steps=steps), "alarm_em", 1000)["estimate"])


def test_nothing_gives_an_empty_table():
    empty = PHASE.estimate(frame("full_v", samples=60).clear(), np.random.default_rng(0))
    assert empty.is_empty()
    assert PHASE.answer(empty) == ""
    assert PHASE.excerpt(empty).is_empty()
