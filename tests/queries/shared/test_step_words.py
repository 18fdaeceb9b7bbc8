"""A training in words."""

from queries.shared.step_words import when


def test_a_change_that_does_not_last_is_told():
    rows = [
        {"step": step, "difference": change, "wide_low": change - 0.2, "wide_high": change + 0.2,
         "emerged": None, "emerged_after": None}
        for step, change in ((1, 0.1), (8, 1.3), (64, 0.9), (256, -0.1))
    ]  # fmt: skip
    said = when(rows)
    assert said.startswith("+1.3 (1.1 to 1.5) at step 8, but no lasting change is shown")
    assert when(rows[:1]) == "no change is shown, +0.1 (-0.1 to 0.3) at step 1"
