"""The figure of differences between curves: a diamond is a number, also where no interval belongs to it."""

import polars as pl

from reports.charts import draw

NAN = float("nan")


def test_a_diamond_without_a_corrected_estimate_is_not_called_none():
    known = {"estimate": 0.1, "low": -0.1, "high": 0.3, "segmented": 0.2}
    uncorrected = {"estimate": NAN, "low": NAN, "high": NAN, "segmented": 0.2}
    nothing = dict.fromkeys(known, NAN)
    table = pl.DataFrame(
        {
            **{"run": "r-1", "sign_group": group, "quantity": quantity},
            **{"null_low": -0.1, "null_high": 0.1, "null_mean": 0.0, **numbers},
        }
        for group, numbers in (("all", known), ("boost", uncorrected), ("suppress", nothing))
        for quantity in ("plateau_excess", "kappa", "plateau_end", "elbow")
    )
    figure = draw("shape_contrast", {"plateau_contrast": table}, {})
    for axes in figure.subfigs[0].axes:
        assert [text.get_text() for text in axes.texts] == ["bias not known", "no estimate"]
        assert [text.get_position()[1] for text in axes.texts] == [1, 2]
