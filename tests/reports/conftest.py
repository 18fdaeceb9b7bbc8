"""Made-up analyses and a lake for reports about them."""

from dataclasses import replace

import pytest

import queries
from tests.reports.made_up import RUN_A, SHARE, lake


@pytest.fixture
def shelf(monkeypatch):
    """Made-up analyses in the place of the folder's."""
    analyses = {
        "influence": SHARE,
        "zeal": replace(SHARE, chapter="Zeal", question="Is there zeal?", needs=("neuron_tokens.delta_loss",)),
    }
    monkeypatch.setattr(queries, "slugs", lambda: sorted(analyses))
    monkeypatch.setattr(queries, "load", lambda slug: replace(analyses[slug], slug=slug))
    return analyses


@pytest.fixture
def one_run():
    return lake((RUN_A, "smollm2-135m"))
