"""Every Parquet table of the lake: grain, columns, types, units and meaning.

This is data, not code: the writer, the DuckDB views with their comments, the checks of `rt import` and the data
dictionary in `docs/` are all made from `TABLES`. The column `run` is not stored in the files: it is the partition
(`runs/run=r-.../TABLE/part-00000.parquet`), and every view has it as its first column.

The tables of an optional pass lie in a folder of their own (`runs/run=r-.../PASS/TABLE/part-00000.parquet`): a run has
all of them or none.
"""

from warehouse.columns import DOCUMENT, LAYER, NEURON, RUN, TOKEN_INDEX, Column, Table
from warehouse.head_tables import HEAD_TABLES
from warehouse.layer_tables import LAYER_TABLES
from warehouse.sae_tables import SAE_TABLES

__all__ = ["PASSES", "RUN", "TABLES", "Column", "Table", "tables_of"]

# The optional passes, each with the command that adds it to a run.
PASSES = {"heads": "rt extract --heads", "layers": "rt extract --layers all", "sae": "rt train-sae"}

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "runs",
            ("run",),
            "One row per run: what was measured on what, the short form of its manifest.",
            (
                Column("origin", "VARCHAR", "`extracted` by `rt extract` or `imported` by `rt import`."),
                Column("created_at", "TIMESTAMP", "When the run was published.", "UTC"),
                Column("rt_version", "VARCHAR", "Version of rt that wrote the run."),
                Column("model", "VARCHAR", "Model as it was asked for: name, folder or hub id."),
                Column("model_title", "VARCHAR", "The model's own name, where it is known.", nullable=True),
                Column("model_note", "VARCHAR", "What is particular about its weights, in words.", nullable=True),
                Column("revision", "VARCHAR", "Revision that was asked for.", nullable=True),
                Column("sweep", "VARCHAR", "Id of the sweep over checkpoints that the run is of.", nullable=True),
                Column("step", "BIGINT", "Training step of the checkpoint, where it is one.", nullable=True),
                Column("model_sha256", "VARCHAR", "Hash over the hashes of the weight files.", nullable=True),
                Column("family", "VARCHAR", "Declared model family.", nullable=True),
                Column("layer", "INTEGER", "The layer whose MLP neurons were measured: the last.", nullable=True),
                Column("d_model", "INTEGER", "Width of the residual stream.", nullable=True),
                Column("d_mlp", "INTEGER", "Number of neurons of the MLP."),
                Column("n_vocabulary", "INTEGER", "Rows of the unembedding."),
                Column("corpus", "VARCHAR", "Corpus as it was asked for."),
                Column("corpus_title", "VARCHAR", "What the texts are, in words, where it is known.", nullable=True),
                Column("corpus_sha256", "VARCHAR", "Hash of the corpus text.", nullable=True),
                Column("unigram_source", "VARCHAR", "Where the frequencies in `vocabulary` come from, in words."),
                Column("context", "INTEGER", "Tokens per window.", "tokens", nullable=True),
                Column("skip", "INTEGER", "First positions of a window that were not analysed.", nullable=True),
                Column("bos", "BOOLEAN", "Whether each window begins with the BOS token.", nullable=True),
                Column("seed", "INTEGER", "Seed of the sampling of windows.", nullable=True),
                Column("dtype", "VARCHAR", "Number format of the forward pass.", nullable=True),
                Column("device", "VARCHAR", "Device of the forward pass.", nullable=True),
                Column("n_documents", "INTEGER", "Documents with at least one analysed position."),
                Column("n_windows", "INTEGER", "Windows.", nullable=True),
                Column("n_positions", "INTEGER", "Analysed positions: rows of `tokens`."),
            ),
        ),
        Table(
            "documents",
            ("run", "document"),
            "One row per document of which at least one position was analysed.",
            (
                DOCUMENT,
                Column("name", "VARCHAR", "Name of the document in the corpus."),
                Column("n_characters", "INTEGER", "Length of the whole document.", "characters", nullable=True),
                Column("n_tokens", "INTEGER", "Length of the whole document.", "tokens", nullable=True),
            ),
        ),
        Table(
            "windows",
            ("run", "window"),
            "One row per window of text that the model read; never padded, never across documents.",
            (
                Column("window", "INTEGER", "Window, from 0 over the run."),
                DOCUMENT,
                Column("start", "INTEGER", "Where in the document's tokens the window begins.", "tokens"),
                Column("token_ids", "INTEGER[]", "The tokens of the window, the BOS token included if there is one."),
            ),
        ),
        Table(
            "tokens",
            ("run", "token_index"),
            "One row per analysed position: the token that was read, the token to be predicted, how well it was.",
            (
                TOKEN_INDEX,
                DOCUMENT,
                Column("window", "INTEGER", "Window of the position.", nullable=True),
                Column("position", "INTEGER", "Position in the window, from 0.", nullable=True),
                Column("token_id", "INTEGER", "The token at the position: the input.", nullable=True),
                Column("target_id", "INTEGER", "The next token: the target, whose loss this is."),
                Column("loss", "FLOAT", "Cross entropy of the target.", "nats", nullable=True),
                Column("entropy", "FLOAT", "Entropy of the predicted distribution.", "nats", nullable=True),
                Column("target_rank", "INTEGER", "Tokens that were predicted above the target.", nullable=True),
            ),
        ),
        Table(
            "neurons",
            ("run", "layer", "neuron"),
            "One row per neuron: moments of its activation over the analysed positions, norms of its weights.",
            (
                LAYER,
                NEURON,
                Column("mean_activation", "DOUBLE", "Mean over the analysed positions: what mean ablation sets."),
                Column("sd_activation", "DOUBLE", "Standard deviation over the analysed positions (ddof 1)."),
                Column("in_norm", "FLOAT", "Length of the row of W_in (`up` where gated).", nullable=True),
                Column("gate_norm", "FLOAT", "Length of the row of the gate, where gated.", nullable=True),
                Column("out_norm", "FLOAT", "Length of the row of W_out.", nullable=True),
                Column(
                    "logit_variance",
                    "DOUBLE",
                    "Variance over tokens of the cosine of the row of W_out with the token's row of the unembedding.",
                    nullable=True,
                ),
                Column(
                    "null_space_share",
                    "DOUBLE",
                    "Share of the length of W_out's row in the d / 64 directions that the unembedding shrinks most.",
                    nullable=True,
                ),
            ),
        ),
        Table(
            "neuron_tokens",
            ("run", "neuron", "token_index"),
            "One row per neuron and analysed position: every neuron at every position, sorted by neuron.",
            (
                NEURON,
                TOKEN_INDEX,
                Column("activation", "FLOAT", "Value that multiplies the neuron's row of W_out.", nullable=True),
                Column(
                    "delta_loss",
                    "FLOAT",
                    "Loss of the target with the neuron set to its mean, minus the loss; positive: the neuron helps.",
                    "nats",
                    nullable=True,
                ),
                Column(
                    "delta_frozen_norm",
                    "FLOAT",
                    "`delta_loss` if the scale of the final norm stayed as it was (`rt extract --frozen-tokens`).",
                    "nats",
                    nullable=True,
                ),
                Column(
                    "delta_frozen_frequency",
                    "FLOAT",
                    "`delta_loss` if the logits did not move along the log-unigram vector "
                    "(`rt extract --frozen-tokens`).",
                    "nats",
                    nullable=True,
                ),
            ),
        ),
        Table(
            "residuals",
            ("run", "token_index"),
            "One row per analysed position: the residual stream before the final norm.",
            (TOKEN_INDEX, Column("residual", "FLOAT[]", "d_model values.")),
        ),
        Table(
            "weights",
            ("run", "layer", "neuron", "side"),
            "One row per neuron and side: its weights.",
            (
                LAYER,
                NEURON,
                Column("side", "VARCHAR", "`in` (W_in, or `up` where gated), `gate`, or `out` (W_out)."),
                Column("weight", "FLOAT[]", "d_model values."),
            ),
        ),
        Table(
            "neuron_logits",
            ("run", "layer", "neuron", "direction", "rank"),
            "One row per neuron and token, for the 20 tokens whose logits its row of W_out raises and lowers most.",
            (
                LAYER,
                NEURON,
                Column("direction", "VARCHAR", "`promoted` or `suppressed`, by a positive activation."),
                Column("rank", "INTEGER", "From 0, the token that is moved furthest."),
                Column("token_id", "INTEGER", "The token."),
                Column(
                    "effect",
                    "FLOAT",
                    "What one unit of activation adds to the token's logit, over the mean token's, where the final "
                    "norm has the scale 1.",
                    "logits",
                ),
            ),
        ),
        Table(
            "vocabulary",
            ("run", "token_id"),
            "One row per row of the unembedding: the token's text and how frequent it is.",
            (
                Column("token_id", "INTEGER", "Token id, from 0."),
                Column("token", "VARCHAR", "Text of the token; null where the tokenizer has none.", nullable=True),
                Column("is_special", "BOOLEAN", "Whether it is a control token (BOS, padding, ...).", nullable=True),
                Column("count", "BIGINT", "Occurrences in the source of frequencies; see `runs.unigram_source`."),
                Column("probability", "DOUBLE", "(count + 1) / sum of (count + 1), or as the source gives it."),
                Column(
                    "frequency_rank",
                    "INTEGER",
                    "1 = most frequent; ties by id. Null for tokens without text and control tokens.",
                    nullable=True,
                ),
            ),
        ),
        *HEAD_TABLES,
        *LAYER_TABLES,
        *SAE_TABLES,
    )
}


def tables_of(of_pass: str) -> list[Table]:
    """The tables that a pass writes; of the run itself, those of the empty name."""
    return [table for table in TABLES.values() if table.of_pass == of_pass]
