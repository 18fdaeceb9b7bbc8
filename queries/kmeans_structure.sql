-- The activations of all neurons at every position, their regimes and, once a run, their output weights.
-- Source: Liu et al. (2025), arXiv 2505.12822, section 4 (spatial organisation of plateau neurons).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out; the regimes are those of
-- the rare tokens, for either class; `out_weight` is null but at the first position, where it holds all neurons' rows.
-- Grain: one row per (run, token_index).
with
-- one list per run, in the order of the neurons
neurons as (
    select
        run,
        list(regime order by neuron) as regime,
        list(is_core order by neuron) as is_core,
        list(influence order by neuron) as influence
    from plateau_stability
    where token_class = 'rare'
    group by run
),

-- the position that carries the weights: repeated at every position they would fill the memory
first_positions as (
    select
        run,
        min(token_index) as token_index
    from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by)
    group by run
),

-- rows of W_out, of the neurons that were measured
directions as (
    select
        first_positions.run,
        first_positions.token_index,
        list(weights.weight order by weights.neuron) as out_weight
    from weights
    inner join first_positions on weights.run = first_positions.run
    inner join plateau_stability
        on
            weights.run = plateau_stability.run
            and weights.neuron = plateau_stability.neuron
            and plateau_stability.token_class = 'rare'
    where weights.side = 'out'
    group by first_positions.run, first_positions.token_index
)

select
    run,
    token_index,
    positions.document,
    positions.token_class,
    positions.activation,
    neurons.regime,
    neurons.is_core,
    neurons.influence,
    directions.out_weight
from activation_rows(rare_quantile := $rare_quantile, rare_by := $rare_by) as positions
inner join neurons using (run)
left join directions using (run, token_index)
order by run, token_index;
