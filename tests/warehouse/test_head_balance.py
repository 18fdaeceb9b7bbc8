"""The balance of rare and common positions, against a plain computation."""

import numpy as np
import polars as pl
import pytest

from tests.heads import write_heads
from tests.lake import make_lake, planted_influence
from warehouse.connection import connect, frame


def test_gaps_are_standardised_differences_of_means(tmp_path):
    lake = make_lake(tmp_path, planted_influence(6, elbow=3), documents=6, positions=30, losses=True)
    assert frame(connect(lake), "from head_balance").is_empty()
    write_heads(lake)
    con = connect(lake)
    facts = frame(
        con,
        "select stratum, ln(frequency_rank) as input_gap, position::double as position_gap from head_positions "
        "join tokens using (run, token_index) join vocabulary using (run, token_id)",
    )
    found = frame(con, "from head_balance").row(0, named=True)
    rare, common = (facts.filter(pl.col("stratum") == name) for name in ("rare", "common"))
    for name in ("input_gap", "position_gap"):
        spread = np.sqrt((rare[name].var() + common[name].var()) / 2)
        assert found[name] == pytest.approx((rare[name].mean() - common[name].mean()) / spread)
