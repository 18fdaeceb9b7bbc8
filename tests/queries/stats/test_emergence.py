import pytest

from queries.stats.emergence import Emergence, decide_emergence

NAN = float("nan")


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (Emergence(10, 0, 1.0, 0.4, 1.2, 64), "supported", "since the untrained model from step 64 on, and at the end"),
        (Emergence(10, 8, 1.0, 0.4, 1.2, 64), "supported", "since the first checkpoint (step 8)"),
        (Emergence(10, 0, 0.0, 0.4, 1.2, 64), "undecidable", "the top of a smooth law at the end is not shown"),
        (Emergence(10, 0, NAN, 0.4, 1.2, 64), "undecidable", "is not shown"),
        (Emergence(10, 0, -1.0, 0.4, 1.2, 64), "contradicted", "at the last checkpoint"),
        (Emergence(10, 0, 1.0, -0.3, 0.5, None), "contradicted", "a rise since the untrained model"),
        (Emergence(10, 0, 1.0, -0.3, 0.9, None), "undecidable", "is not excluded"),
        (Emergence(1, 0, 1.0, NAN, NAN, None), "undecidable", "one checkpoint"),
        (Emergence(3, 0, 1.0, NAN, NAN, None), "undecidable", "no regimes"),
        (Emergence(3, 0, 1.0, NAN, NAN, None, "no position of this class"), "undecidable", "no position"),
    ],
)
def test_the_verdict_and_why(found, verdict, words):
    decided, reason = decide_emergence(found)
    assert decided == verdict
    assert words in reason
