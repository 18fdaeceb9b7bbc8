-- Do neurons matter alike in two corpora: the sums per document of both, for every two runs of one model.
-- Source: mean ablation in the last MLP, Liu et al. (2025), arXiv 2505.12822, section 3.
-- Caveats: rare and common are those of each run's own source of frequencies.
-- Grain: one row per (run, other_run, is_other, token_class, document, neuron).
with
pairs as (
    select
        one.run,
        other.run as other_run
    from runs as one
    inner join runs as other
        on
            coalesce(one.model_sha256, one.model) = coalesce(other.model_sha256, other.model)
            and one.layer is not distinct from other.layer
            and one.d_mlp = other.d_mlp
            and one.context is not distinct from other.context
            and one.skip is not distinct from other.skip
            and one.bos is not distinct from other.bos
            and one.dtype is not distinct from other.dtype
            and coalesce(one.corpus_sha256, one.corpus) <> coalesce(other.corpus_sha256, other.corpus)
),

sides as (
    select
        run,
        other_run,
        false as is_other,
        run as of_run
    from pairs
    union all
    select
        run,
        other_run,
        true as is_other,
        other_run as of_run
    from pairs
),

sums_of_sides as (
    select
        sides.run,
        sides.other_run,
        sides.is_other,
        sums.token_class,
        sums.document,
        sums.neuron,
        sums.n_positions,
        sums.sum_delta,
        sums.sum_abs_delta
    from sides
    inner join document_influence(rare_quantile := $rare_quantile, rare_by := $rare_by) as sums
        on sides.of_run = sums.run
)

select *
from sums_of_sides
order by run, other_run, is_other, token_class, document, neuron;
