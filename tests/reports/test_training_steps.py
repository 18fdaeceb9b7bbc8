"""Numbers over steps: a panel each, a line for each series, from the untrained state on."""

import numpy as np
import polars as pl

from reports.charts import draw
from reports.charts.canvas import save

OPTIONS = {
    "panels": {"purity": {"measure": "purity"}, "phase": {"measure": "phase"}}, "series": "scheme", "column": "sae",
}  # fmt: skip


def table(saes=("relu", "topk")):
    return pl.DataFrame(
        {
            "run": "r-1", "sae": sae, "scheme": scheme, "measure": "purity", "step": step,
            "estimate": 0.1 * i + 0.01 * step, "low": float("nan") if step == 0 else 0.0, "high": 1.0,
        }
        for sae in saes
        for i, scheme in enumerate(("frequency", "position"))
        for step in (0, 1, 100)
    )  # fmt: skip


def test_lines_begin_at_step_0_and_what_is_missing_is_said(tmp_path):
    figure = draw("training_steps", {"lottery": table()}, OPTIONS)
    axes = figure.get_axes()
    assert len(axes) == 4
    line = axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == np.log1p([0, 1, 100]).tolist()
    assert axes[0].get_title() == "purity (relu)"
    assert [text.get_text() for text in axes[1].texts] == ["no estimate"]
    save(figure, tmp_path, "training_steps")


def test_one_variant_and_none(tmp_path):
    save(draw("training_steps", {"lottery": table(("topk",))}, OPTIONS), tmp_path, "one")
    save(
        draw("training_steps", {"lottery": table().with_columns(estimate=pl.lit(float("nan")))}, OPTIONS),
        tmp_path,
        "none",
    )
