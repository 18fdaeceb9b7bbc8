-- Which neurons a run has: the layer they are of, where it is known, how many, and the first and the last.
-- Grain: one row.
with
layers as (
    select layer
    from runs
    where run = $run
    union all
    select layer
    from neurons
    where run = $run
    union all
    select layer
    from weights
    where run = $run
),

pairs as (
    select
        count(distinct neuron) as n_neurons,
        min(neuron) as "first",
        max(neuron) as "last"
    from neuron_tokens
    where run = $run
),

sides as (
    select count(*) > 0 as has_weights
    from weights
    where run = $run
),

gates as (
    select coalesce(bool_or(is_gated), false) as is_gated
    from gated_runs
    where run = $run
)

select
    (select min(layer) from layers) as layer,
    pairs.n_neurons,
    pairs."first",
    pairs."last",
    gates.is_gated,
    sides.has_weights
from pairs
cross join sides
cross join gates;
