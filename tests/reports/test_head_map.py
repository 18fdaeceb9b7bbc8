"""The map of heads: a cell for each, a dot for the significant, grey where there is no number."""

import numpy as np
import polars as pl
import pytest

from reports.charts import draw
from reports.charts.canvas import save

NAN = float("nan")


def table(ablations=("mean",), layers=4, heads=3, **options):
    return pl.DataFrame(
        {
            "run": "r-1", "ablation": ablation, "token_class": token_class, "layer": layer, "head": head,
            "estimate": NAN if layer == layers - 1 else 0.1 * layer - 0.05 * head, "low": -1.0, "high": 1.0, "n": 9,
            "q": 0.01 if (layer, head) == (1, 2) else 0.5, **options,
        }
        for ablation in ablations
        for token_class in ("rare", "common", "rare_minus_common")
        for layer in range(layers)
        for head in range(heads)
    )  # fmt: skip


def test_every_head_is_a_cell_and_dots_mark_the_significant(tmp_path):
    figure = draw("head_map", {"head_loss": table()}, {"unit": "nats"})
    maps = [axes for axes in figure.get_axes() if axes.images]
    assert [axes.get_title() for axes in maps] == ["rare", "common", "rare minus common"]
    for axes in maps:
        drawn = axes.images[0].get_array()
        assert drawn.shape == (4, 3)
        assert drawn.mask[3].all()
        assert float(drawn[2, 1]) == pytest.approx(0.15)
        (dots,) = axes.get_lines()
        assert (dots.get_xdata()[0], dots.get_ydata()[0]) == (2.5, 1.5)
    save(figure, tmp_path, "head_map")


def test_ablations_have_a_row_each_and_a_measure_is_chosen(tmp_path):
    rows = pl.concat([table(("bos", "mean"), measure="influence"), table(("bos",), measure="other")])
    rows = pl.concat([rows, rows.head(1).with_columns(layer=pl.lit(None, pl.Int64), measure=pl.lit("influence"))])
    figure = draw("head_map", {"head_routing": rows}, {"where": {"measure": "influence"}})
    maps = [axes for axes in figure.get_axes() if axes.images]
    assert len(maps) == 6
    assert maps[3].get_ylabel() == "layer (mean ablation)"
    save(figure, tmp_path, "head_map")


def test_no_number_at_all_is_drawn_as_such(tmp_path):
    nothing = table().with_columns(estimate=pl.lit(NAN), q=pl.lit(NAN))
    save(draw("head_map", {"head_loss": nothing}, {}), tmp_path, "head_map")
    without = draw("head_map", {"head_loss": table().filter(token_class="rare")}, {})
    assert any(text.get_text() == "no head" for axes in without.get_axes() for text in axes.texts)
    assert not np.isnan(without.get_size_inches()).any()


def test_one_head_far_off_does_not_take_all_colours():
    wide = table(layers=20, heads=10)
    far = (pl.col("layer") == 3) & (pl.col("head") == 3) & (pl.col("token_class") == "rare_minus_common")
    figure = draw(
        "head_map", {"head_loss": wide.with_columns(estimate=pl.when(far).then(90.0).otherwise("estimate"))}, {}
    )
    scales = {axes.get_title(): axes.images[0] for axes in figure.get_axes() if axes.images and axes.get_title()}
    assert scales["rare minus common"].norm.vmax < 2
    assert [scales[name].colorbar.extend for name in ("rare", "rare minus common")] == ["neither", "both"]
    above = pl.col("estimate").abs() + 0.01
    some = wide.with_columns(estimate=pl.when(far).then(90.0).otherwise(above))
    figure = draw("head_map", {"head_loss": some}, {})
    scales = {axes.get_title(): axes.images[0] for axes in figure.get_axes() if axes.images and axes.get_title()}
    assert scales["rare minus common"].colorbar.extend == "max"
