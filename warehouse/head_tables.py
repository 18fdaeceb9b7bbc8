"""The tables of `rt extract --heads`: what ablating one attention head does at one position.

An ablation replaces the head's part of the input of the attention's output projection, at that position only: by its
mean over the analysed positions (`mean`), or by what the head would put there if it attended to nothing but position 0
of the window (`bos`).
"""

from warehouse.columns import DOCUMENT, TOKEN_INDEX, Column, Table

_LAYER = Column("layer", "INTEGER", "Transformer layer of the attention head, from 0.")
_HEAD = Column("head", "INTEGER", "Attention (query) head of that layer, from 0.")
_ABLATION = Column("ablation", "VARCHAR", "`mean` or `bos`: what replaces the output of the head.")
_STRATUM = Column("stratum", "VARCHAR", "`rare` or `common`: the class of the target when positions were sampled.")
_HEADS = "heads"

HEAD_TABLES = (
    Table(
        "attention_heads",
        ("run", "layer", "head"),
        "One row per attention head: whether it can reach the last MLP, and its mean output.",
        (
            _LAYER,
            _HEAD,
            Column("has_path", "BOOLEAN", "Whether anything of the head can reach the neurons of the last MLP."),
            Column("reason", "VARCHAR", "Why it cannot; null where it can.", nullable=True),
            Column(
                "mean_output",
                "FLOAT[]",
                "Mean of its part of the projection's input over the analysed positions; null without `mean`.",
                nullable=True,
            ),
        ),
        _HEADS,
    ),
    Table(
        "head_positions",
        ("run", "token_index"),
        "One row per sampled position, in pairs of a rare and a common target of one window.",
        (
            TOKEN_INDEX,
            DOCUMENT,
            Column("pair", "INTEGER", "Pair of a rare and a common position of the same window, from 0."),
            _STRATUM,
            Column("target_decile", "INTEGER", "Tenth of the ranked vocabulary the target is in; 0: most frequent."),
            Column("input_decile", "INTEGER", "The same of the token that was read.", nullable=True),
        ),
        _HEADS,
    ),
    Table(
        "head_tokens",
        ("run", "layer", "head", "ablation", "token_index"),
        "One row per head, ablation and sampled position: the change of the loss there.",
        (
            _LAYER,
            _HEAD,
            _ABLATION,
            TOKEN_INDEX,
            Column("delta_loss", "FLOAT", "Loss with the head ablated, minus the loss; positive: it helps.", "nats"),
        ),
        _HEADS,
    ),
    Table(
        "head_neurons",
        ("run", "layer", "head", "ablation", "stratum", "document"),
        "One row per head with a path, ablation, stratum and document: how far each neuron of the last MLP moves.",
        (
            _LAYER,
            _HEAD,
            _ABLATION,
            _STRATUM,
            DOCUMENT,
            Column("n", "INTEGER", "Sampled positions of the stratum in the document."),
            Column("sum_abs_change", "FLOAT[]", "Per neuron: sum over them of |activation when ablated - activation|."),
            Column("sum_change", "FLOAT[]", "Per neuron: sum of the signed changes."),
            Column("sum_square_change", "FLOAT[]", "Per neuron: sum of the squared changes."),
        ),
        _HEADS,
    ),
)
