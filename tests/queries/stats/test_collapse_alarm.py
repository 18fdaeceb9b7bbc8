"""The alarm: given in time where a coordinate collapses, seldom where it does not, from the past alone."""

import numpy as np

from queries.stats.collapse_alarm import N_IN_A_ROW, alarm, fallen, loss_turn

HEALTHY = 2.0 - 4.0 * np.exp(-np.arange(40) / 8)


def noisy(truth, seed, noise=0.05):
    return truth + noise * np.random.default_rng(seed).standard_normal(len(truth))


def collapsing(at=25, speed=0.3):
    return HEALTHY - speed * np.maximum(np.arange(40) - at, 0)


def test_a_collapse_is_seen_and_a_healthy_run_seldom_gives_an_alarm():
    seen = [alarm(noisy(collapsing(), seed)) for seed in range(200)]
    assert np.mean([place >= 0 for place in seen]) > 0.97
    late = [place for place in seen if place > 25]
    assert len(late) > 180
    assert np.median(late) <= 25 + 2 * N_IN_A_ROW
    false = np.mean([alarm(noisy(HEALTHY + 3, seed)) >= 0 for seed in range(200)])
    assert false < 0.15


def test_it_uses_nothing_that_comes_later():
    values = noisy(collapsing(), 3)
    place = alarm(values)
    for end in range(place + 1, len(values) + 1):
        assert alarm(values[:end]) == place
    assert alarm(values[:place]) == -1


def test_a_fall_through_0_is_an_alarm_at_once():
    assert alarm(np.array([0.1, 0.2, 0.1, -0.1, 0.3])) == 3
    assert alarm(np.array([-0.1, -0.2, -0.3])) == -1


def test_0_itself_is_no_way_around_the_alarm():
    assert alarm(np.array([0.2, 0.1, 0.0, -0.1])) == 2
    assert alarm(np.array([0.0, 0.1, 0.2])) == -1


def test_two_in_a_row_are_not_enough():
    values = np.concatenate([np.arange(10.0), [-9.0, -9.0], np.arange(10.0, 20.0)])
    assert fallen(values) == -1


def test_the_loss_turns_by_the_same_rule():
    loss = np.concatenate([np.linspace(5, 2, 20), np.linspace(2.5, 6, 10)])
    assert loss_turn(loss) == fallen(-loss) == 22
    assert loss_turn(np.linspace(5, 2, 20)) == -1
