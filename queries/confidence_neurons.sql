-- How much of each neuron's effect is left when it cannot act through the norm, or along the token frequencies.
-- Source: Stolfo et al. (2024), arXiv 2406.16254.
-- Caveats: only positions that have the frozen deltas (rt extract --frozen-tokens); the plateau is that of the rare
-- tokens, at all positions.
-- Grain: one row per (run, token_class, document, neuron).
with effects as (
    select
        ablations.run,
        classes.token_class,
        classes.document,
        ablations.neuron,
        count(*) as n_positions,
        sum(abs(ablations.delta_loss::double)) as sum_abs_delta,
        sum(abs(ablations.delta_frozen_norm::double)) as sum_abs_frozen_norm,
        sum(abs(ablations.delta_frozen_frequency::double)) as sum_abs_frozen_frequency
    from ablations
    inner join token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as classes
        on same_position(ablations.run, ablations.token_index, classes.run, classes.token_index)
    where ablations.delta_frozen_norm is not null and ablations.delta_frozen_frequency is not null
    group by ablations.run, classes.token_class, classes.document, ablations.neuron
)

select
    effects.run,
    effects.token_class,
    effects.document,
    effects.neuron,
    effects.n_positions,
    effects.sum_abs_delta,
    effects.sum_abs_frozen_norm,
    effects.sum_abs_frozen_frequency,
    coalesce(stable.regime = 'plateau' and stable.is_core, false) as is_plateau,
    neurons.out_norm,
    neurons.logit_variance,
    neurons.null_space_share
from effects
left join plateau_stability as stable
    on
        effects.run = stable.run
        and effects.neuron = stable.neuron
        and stable.token_class = 'rare'
left join neurons
    on
        effects.run = neurons.run
        and effects.neuron = neurons.neuron
order by run, token_class, document, neuron;
