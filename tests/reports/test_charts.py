"""Every chart draws what its tables hold, also where numbers are missing; the same tables give the same bytes."""

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex

from reports.charts import caption, draw, kinds
from reports.charts.canvas import COLOURS, save
from reports.charts.rank_curve import ranked

RUNS = ("r-0000000001", "r-0000000002")
NAN = float("nan")


def influence(runs, n=1536):
    rng = np.random.default_rng(0)
    parts = []
    for run in runs:
        for token_class in ("all", "common", "rare"):
            size = np.sort(np.abs(rng.standard_normal(n)))[::-1] * 1e-3
            parts.append(
                pl.DataFrame(
                    {"run": run, "token_class": token_class, "neuron": rng.permutation(n), "estimate": size}
                ).with_columns(
                    low=pl.col("estimate") * 0.8,
                    high=pl.col("estimate") * 1.2,
                    rank=pl.int_range(1, n + 1),
                )
            )
    return pl.concat(parts)


def reliability(runs):
    return pl.DataFrame(
        [
            {
                "run": run, "token_class": token_class, "measure": measure, "estimate": 0.7, "low": 0.6, "high": 0.8,
                "n": 40, "null_mean": 0.01, "p": 0.001,
            }
            for run in runs
            for token_class in ("all", "common", "rare")
            for measure in ("spearman", "top_10", "top_30", "top_100")
        ]
    )  # fmt: skip


def regimes(runs):
    values = {"plateau_end": (21.0, 15.0, 30.0), "elbow": (400.0, 300.0, 500.0), "kappa": (0.6, 0.5, 0.7)}
    values["plateau_excess"] = (0.4, 0.2, 0.6)
    return pl.DataFrame(
        [
            {
                "run": run, "token_class": token_class, "sign_group": group, "quantity": quantity,
                "estimate": estimate, "low": low, "high": high, "n": 1536,
                "smooth_low": -0.1, "smooth_high": 0.1, "smooth_mean": 0.0,
            }
            for run in runs
            for token_class in ("all", "common", "rare", "rare_minus_common")
            for group in ("all", "boost", "suppress")
            for quantity, (estimate, low, high) in values.items()
        ]
    )  # fmt: skip


def tables(runs=RUNS[:1]):
    return {"influence": influence(runs), "ranking_reliability": reliability(runs), "regimes": regimes(runs)}


def panels(figure):
    return figure.get_axes()


def texts(figure):
    return [text.get_text() for axes in panels(figure) for text in axes.texts]


def test_kinds_are_the_modules_of_the_folder():
    assert {"rank_curve", "regimes", "reliability"} <= set(kinds())
    assert "canvas" not in kinds()
    for kind in ("canvas", "__init__", "../report", "os"):
        with pytest.raises(ValueError, match="no chart of kind"):
            draw(kind, {}, {})


@pytest.mark.parametrize("kind", ["rank_curve", "reliability", "regimes"])
def test_files_are_the_same_every_time(kind, tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(draw(kind, tables(), {}), tmp_path / name, kind)
        made.append([(tmp_path / name / f"{kind}{suffix}").read_bytes() for suffix in (".svg", ".png")])
    assert made[0] == made[1]
    assert b"dc:date" not in made[0][0]


@pytest.mark.parametrize("kind", ["rank_curve", "reliability", "regimes"])
def test_several_runs_have_a_facet_each_with_their_names(kind, tmp_path):
    one, two = draw(kind, tables(), {}), draw(kind, tables(RUNS), {"labels": {RUNS[0]: "pythia $1 | x"}})
    assert len(panels(two)) == 2 * len(panels(one))
    assert [cell.get_suptitle() for cell in two.subfigs] == ["pythia $1 | x", RUNS[1]]
    save(two, tmp_path, kind)


@pytest.mark.parametrize("kind", ["rank_curve", "reliability", "regimes"])
def test_no_number_is_drawn_as_such(kind, tmp_path):
    without = {
        slug: table.with_columns(pl.lit(NAN).alias(name) for name in ("estimate", "low", "high"))
        for slug, table in tables().items()
    }
    figure = draw(kind, without, {})
    save(figure, tmp_path, kind)
    assert any(text.startswith("no ") for text in texts(figure))


@pytest.mark.parametrize("kind", ["rank_curve", "reliability", "regimes"])
def test_an_estimate_without_an_interval_is_still_drawn(kind, tmp_path):
    without = {
        slug: table.with_columns(pl.lit(NAN).alias(name) for name in ("low", "high"))
        for slug, table in tables().items()
    }
    save(draw(kind, without, {}), tmp_path, kind)


def test_rank_curve_thins_only_the_tail():
    whole = influence(RUNS[:1], n=20_000).filter(pl.col("token_class") == "rare")
    curve = ranked(whole)
    assert curve.height < 500
    assert curve["rank"][:60].to_list() == list(range(1, 61))
    assert curve["rank"][-1] == 20_000
    assert curve.join(whole, on=curve.columns, how="semi").height == curve.height


def test_rank_curve_leaves_zeros_out():
    table = influence(RUNS[:1], n=50).with_columns(
        estimate=pl.when(pl.col("rank") > 40).then(0.0).otherwise(pl.col("estimate")), low=pl.lit(0.0)
    )
    lines = panels(draw("rank_curve", {"influence": table}, {}))[0].get_lines()
    assert [len(line.get_xdata()) for line in lines] == [40, 40, 40]


def test_regimes_shows_breakpoints_slope_and_both_intervals():
    figure = draw("regimes", tables(), {})
    _, rare, _, excess = panels(figure)
    assert {"plateau ends\n21", "elbow\n400"} <= set(texts(figure))
    assert "rare tokens\nkappa 0.60\n[0.50, 0.70]" in texts(figure)
    assert {21.0, 400.0} <= {line.get_xdata()[0] for line in rare.get_lines()}
    assert len(excess.patches) == 12
    measured = [line for line in excess.get_lines() if to_hex(line.get_color()) == COLOURS["rare"].lower()]
    assert [0.2, 0.6] in [list(line.get_xdata()) for line in measured]


def test_regimes_shows_what_the_smooth_law_compares_with():
    with_raw = {**tables(), "regimes": regimes(RUNS[:1]).with_columns(segmented=pl.lit(0.55))}
    diamonds = [line for line in panels(draw("regimes", with_raw, {}))[3].get_lines() if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == [0.55] * 12


def test_regimes_draws_the_fitted_segmentation_and_the_verdict():
    """At the first breakpoint the plateau's line ends the excess above the middle one; lines meet at the elbow."""
    fitted = {"plateau_end": 20.0, "elbow": 400.0, "kappa": 0.6, "plateau_slope": -0.1, "decay_slope": -3.0}
    fitted["plateau_excess"] = 0.5
    row = regimes(RUNS[:1]).filter(token_class="rare", sign_group="all").head(1)
    row = row.with_columns(level=pl.lit(-4.0), verdict=pl.lit("undecidable"))
    table = pl.concat(
        row.with_columns(quantity=pl.lit(name), segmented=pl.lit(value)) for name, value in fitted.items()
    )
    axes = panels(draw("regimes", {**tables(), "regimes": table}, {}))[1]
    black = [line for line in axes.get_lines() if to_hex(line.get_color()) == "#111111"]
    plateau, middle, decay = black
    assert plateau.get_ydata()[1] == pytest.approx(np.exp(-4.0 + 0.5))
    assert middle.get_ydata()[0] == pytest.approx(np.exp(-4.0))
    assert middle.get_ydata()[1] == pytest.approx(decay.get_ydata()[0])
    assert any("plateau: undecidable" in text for text in texts(axes.figure.figure))


def test_regimes_names_of_close_breakpoints_do_not_meet():
    close = regimes(RUNS[:1]).with_columns(
        estimate=pl.when(pl.col("quantity") == "elbow").then(30.0).otherwise(pl.col("estimate"))
    )
    figure = draw("regimes", {**tables(), "regimes": close}, {})
    sides = {text.get_text().partition("\n")[0]: text.get_ha() for text in panels(figure)[0].texts}
    assert (sides["plateau ends"], sides["elbow"]) == ("right", "left")


def test_reliability_marks_the_null():
    axes = panels(draw("reliability", tables(), {}))[0]
    marks = [line for line in axes.get_lines() if line.get_marker() == "|"]
    assert len(marks) == 12
    assert {line.get_xdata()[0] for line in marks} == {0.01}
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["Spearman", *(f"overlap of\nthe top {k}" for k in (10, 30, 100))]


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_a_caption(kind):
    said = caption(kind, {"caption": "And this."})
    assert said.endswith(". And this.")
    assert "\n" not in said
    assert len(said.partition(". ")[0]) < 260  # the alternative text
