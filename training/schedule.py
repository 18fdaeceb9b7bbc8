"""At which steps of a training something is kept."""

import numpy as np


def powers(last: int) -> list[int]:
    """0, the powers of two below `last`, and `last`.

    >>> powers(6)
    [0, 1, 2, 4, 6]
    """
    return [0, *(1 << each for each in range(max(last - 1, 0).bit_length())), *([last] if last else [])]


def log_steps(last: int, count: int) -> list[int]:
    """0, then about `count` steps up to `last` at equal ratios; the early ones, closer than one step, fall together.

    >>> log_steps(100, 7)
    [0, 1, 2, 5, 10, 22, 46, 100]
    """
    return sorted({0, *(int(each) for each in np.rint(np.geomspace(1, last, count)))}) if last else [0]
