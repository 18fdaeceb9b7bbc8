import pytest

from training.schedule import log_steps, powers


def test_powers_begin_with_the_untrained_model_and_end_with_the_last():
    assert powers(256) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert powers(300) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert powers(1) == [0, 1]
    assert powers(0) == [0]


@pytest.mark.parametrize("last", [1, 2, 7, 1000])
def test_log_steps_rise_from_0_to_the_last(last):
    found = log_steps(last, 20)
    assert found == sorted(set(found))
    assert (found[0], found[1], found[-1]) == (0, 1, last)
    assert len(found) <= 21
