"""The tables of `rt train-sae`: a sparse autoencoder of what a run holds, at steps of its training.

Of the codes only the strongest positions of each atom are kept: what an atom is about is read off those, and they
bound the tables, whatever the length of the text and however dense codes are early in training. Positions, not
counts of classes, so that any labels of tokens can be asked for later.
"""

from warehouse.columns import TOKEN_INDEX, Column, Table

_SAE = Column("sae", "VARCHAR", "Which autoencoder: `topk` or `relu`.")
_STEP = Column("step", "INTEGER", "Steps of its training so far; 0: untrained.")
_ATOM = Column("atom", "INTEGER", "Atom, from 0; the same index is the same column of the decoder at every step.")
_PASS = "sae"

SAE_TABLES = (
    Table(
        "sae_steps",
        ("run", "sae", "step"),
        "One row per autoencoder and kept step: how well it reconstructs all positions, and with how many atoms.",
        (
            _SAE,
            _STEP,
            Column("n_positions", "INTEGER", "Positions: all of the run."),
            Column("n_atoms", "INTEGER", "Atoms, dead ones too."),
            Column("squared_error", "DOUBLE", "Mean squared error per dimension of the standardised inputs."),
            Column("explained_variance", "DOUBLE", "1 - squared error over the variance of the standardised inputs."),
            Column("l0", "DOUBLE", "Mean number of active atoms at a position."),
            Column("dead_share", "DOUBLE", "Share of the atoms that are active at no position."),
            Column(
                "lambda_max", "DOUBLE", "Largest eigenvalue of the covariance of the codes of 1,000 spread positions."
            ),
            Column("trace", "DOUBLE", "Sum of its eigenvalues."),
            Column(
                "beta_em",
                "DOUBLE",
                "Precision (1 / variance) of a mixture of 12 isotropic prototypes fitted to those codes.",
                nullable=True,
            ),
        ),
        _PASS,
    ),
    Table(
        "sae_atoms",
        ("run", "sae", "step", "atom"),
        "One row per autoencoder, kept step and atom: how often it is active, and where its direction is going.",
        (
            _SAE,
            _STEP,
            _ATOM,
            Column("n_active", "INTEGER", "Positions where it is active (code above 0)."),
            Column("mean_activation", "DOUBLE", "Mean code over those; null where there is none.", nullable=True),
            Column("cosine_final", "DOUBLE", "Cosine of its column of the decoder with the same column at the end."),
            Column(
                "direction",
                "FLOAT[]",
                "Its column of the decoder, of length 1, in standardised inputs; at 5 % of the training and the end.",
                nullable=True,
            ),
        ),
        _PASS,
    ),
    Table(
        "sae_contexts",
        ("run", "sae", "step", "atom", "rank"),
        "One row per autoencoder, kept step, atom and context: the 60 positions where its code is largest.",
        (
            _SAE,
            _STEP,
            _ATOM,
            Column("rank", "INTEGER", "From 0, the largest code."),
            TOKEN_INDEX,
            Column("activation", "FLOAT", "The code there, above 0."),
        ),
        _PASS,
    ),
)
