"""What a refused model says."""

from collections.abc import Callable
from typing import Any

import pytest

from warehouse.errors import ModelError


def fault(call: Callable[..., Any], *arguments: Any) -> ModelError:
    """The `ModelError` of the call: one line, with a hint."""
    with pytest.raises(ModelError) as caught:
        call(*arguments)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value
