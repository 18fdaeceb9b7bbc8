"""What the analyses of attention heads have in common: their keys in words, and when few documents decide nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from queries.stats.nulls import least_sign_flip_p
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

KEY_COLUMNS = {
    "ablation": "What replaces the head's output: `mean`, or `bos`, what it is if the head attends to position 0 only.",
    "layer": "Layer of the head, from 0; null where all heads are meant.",
    "head": "The head within its layer, from 0; null where all are meant.",
}
NULLABLE = ("layer", "head")


def out_of_reach(n_documents: int, n_heads: int) -> str:
    """Why no head can be significant with so few documents; empty where one can.

    >>> out_of_reach(5, 12)
    'with 5 documents no p is below 0.062, which among 12 heads cannot give q < 0.05'
    >>> out_of_reach(20, 12)
    ''
    """
    least = least_sign_flip_p(n_documents)
    # Benjamini and Hochberg's rule at its kindest: all heads at the smallest p
    if least < LEVEL:
        return ""
    return (
        f"with {counted(n_documents, 'document')} no p is below {least:.2g}, which among {counted(n_heads, 'head')} "
        f"cannot give q < {LEVEL}"
    )


def balance(row: Mapping[str, Any]) -> str:
    """How alike rare and common positions are in what should not differ, in words.

    >>> balance({"input_gap": 0.123, "position_gap": float("nan")})
    'rare minus common positions: 0.12 sd in ln rank of the token read'
    """
    names = {"input_gap": "in ln rank of the token read", "position_gap": "in place in the window"}
    known = [f"{row[name]:.2g} sd {words}" for name, words in names.items() if np.isfinite(row[name])]
    return f"rare minus common positions: {', '.join(known) or 'their balance is not known'}"


def name_of(layer: int, head: int) -> str:
    """A head in text.

    >>> name_of(5, 3)
    'L5H3'
    """
    return f"L{layer}H{head}"
