"""The tables of `rt extract --layers`: what the neurons of each layer do, what the residual stream is like after it.

Nothing in them grows with the length of the text but `layer_tokens`, a row of measures per position, layer and variant,
and `layer_activations`, which only `--store-layer` writes.
"""

from warehouse.columns import TOKEN_INDEX, Column, Table

_LAYER = Column("layer", "INTEGER", "Transformer layer, from 0.")
_NEURON = Column("neuron", "INTEGER", "Neuron of that layer's MLP, from 0 to d_mlp - 1.")
_N = Column("n_positions", "INTEGER", "Positions that were read.")
_MOMENTS = (
    Column("mean", "DOUBLE", "Mean of the activation."),
    Column("moment_2", "DOUBLE", "Mean of the squared deviation from the mean."),
    Column("moment_3", "DOUBLE", "Mean of the deviation to the third power."),
    Column("moment_4", "DOUBLE", "Mean of the deviation to the fourth power."),
    Column("sum_abs", "DOUBLE", "Sum of |activation|: the activation mass."),
    Column("sum_square", "DOUBLE", "Sum of the squared activation."),
)
_LAYERS = "layers"

LAYER_TABLES = (
    Table(
        "layers",
        ("run", "layer"),
        "One row per layer that was read.",
        (
            _LAYER,
            _N,
            Column("d_mlp", "INTEGER", "Neurons of its MLP."),
            Column("outlier_dimensions", "INTEGER[]", "The five dimensions of largest mean square after the layer."),
        ),
        _LAYERS,
    ),
    Table(
        "layer_neurons",
        ("run", "layer", "neuron"),
        "One row per neuron of every layer that was read: moments of its activation, types that hold its mass.",
        (
            _LAYER,
            _NEURON,
            _N,
            *_MOMENTS,
            Column("n_types", "INTEGER", "Token types among the positions."),
            Column("types_low", "INTEGER", "Token types that hold 90 % of the activation mass: at least so many."),
            Column("types_high", "INTEGER", "At most so many; equal to `types_low` where the count is exact."),
            Column("mass_error", "DOUBLE", "By so much at most `layer_types.mass` is short of a type's true mass."),
        ),
        _LAYERS,
    ),
    Table(
        "layer_moments",
        ("run", "layer", "neuron", "part"),
        "One row per neuron and tenth of the documents: its moments there, which merge to those of all of them.",
        (
            _LAYER,
            _NEURON,
            Column(
                "part", "INTEGER", "Part of the documents, from 0 to 9: the documents of the run dealt out in turn."
            ),
            _N,
            *_MOMENTS,
            Column(
                "types_without",
                "INTEGER",
                "Token types that hold 90 % of the activation mass of all other parts; null but for 32 neurons of the "
                "layer, and where `layer_neurons` has bounds.",
                nullable=True,
            ),
        ),
        _LAYERS,
    ),
    Table(
        "layer_types",
        ("run", "layer", "neuron", "rank"),
        "One row per neuron and token type, for the 32 types of input tokens with most of the neuron's mass.",
        (
            _LAYER,
            _NEURON,
            Column("rank", "INTEGER", "From 0, the type with the largest mass."),
            Column("token_id", "INTEGER", "The token at the position: the input."),
            Column(
                "mass",
                "DOUBLE",
                "Sum of |activation| at the type; the truth is up to `layer_neurons.mass_error` above.",
            ),
        ),
        _LAYERS,
    ),
    Table(
        "layer_contexts",
        ("run", "layer", "neuron", "rank", "part"),
        "One row per neuron and context: of each tenth of the documents the 20 positions where it is most active.",
        (
            _LAYER,
            _NEURON,
            Column("rank", "INTEGER", "Within the part, from 0, the largest size."),
            Column("part", "INTEGER", "Part of the documents, as in `layer_moments`."),
            TOKEN_INDEX,
            Column("activation", "FLOAT", "The activation there, never 0."),
            Column(
                "cosine",
                "FLOAT[]",
                "Cosines of the neuron's embedding of the context (row of W_in times the input of the MLP, component "
                "by component) with those of the rows before it; null but for the two strongest of each part (more "
                "where there are fewer than ten parts).",
                nullable=True,
            ),
        ),
        _LAYERS,
    ),
    Table(
        "layer_tokens",
        ("run", "layer", "token_index", "variant"),
        "One row per layer, analysed position and variant: how sparse the residual stream after the layer is.",
        (
            _LAYER,
            TOKEN_INDEX,
            Column(
                "variant",
                "VARCHAR",
                "`raw`: the state as it is; `trimmed`: without the layer's outlier dimensions; `normed`: after the "
                "norm that reads it next.",
            ),
            Column("hoyer", "FLOAT", "Hoyer's sparsity: 0 all components of one size, 1 a single one.", nullable=True),
            Column("gini", "FLOAT", "Gini coefficient of the sizes of the components.", nullable=True),
            Column("top_1", "FLOAT", "Share of the energy in the largest 1 % of the components.", nullable=True),
            Column("top_5", "FLOAT", "The same for 5 %.", nullable=True),
            Column("top_7", "FLOAT", "The same for 7 %.", nullable=True),
            Column("top_10", "FLOAT", "The same for 10 %.", nullable=True),
            Column("entropy_rank", "FLOAT", "exp of the entropy of the sizes, over the dimension.", nullable=True),
            Column("l0_share", "FLOAT", "Share of components above the mean size plus its deviation.", nullable=True),
        ),
        _LAYERS,
    ),
    Table(
        "states",
        ("run", "layer", "token_index"),
        "One row per layer and sampled position, some in a row of every document: the residual stream after the layer.",
        (_LAYER, TOKEN_INDEX, Column("state", "FLOAT[]", "d_model values, before any norm.")),
        _LAYERS,
    ),
    Table(
        "layer_activations",
        ("run", "layer", "token_index"),
        "One row per analysed position of a layer that was asked for by `rt extract --store-layer`.",
        (_LAYER, TOKEN_INDEX, Column("activation", "FLOAT[]", "d_mlp values, those that multiply the rows of W_out.")),
        _LAYERS,
    ),
)
