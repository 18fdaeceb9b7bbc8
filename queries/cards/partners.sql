-- The neurons whose activations go with those of chosen neurons: Pearson's r over the positions, largest |r| first.
-- Caveats: the largest of many; without an interval. A neuron that never varies has no r and no row.
-- Grain: one row per (neuron, partner).
with
own as (
    select
        activations.run,
        activations.neuron,
        activations.token_index,
        activations.activation
    from activations
    inner join tokens
        on same_position(activations.run, activations.token_index, tokens.run, tokens.token_index)
    where
        activations.run = $run
        and tokens.run = $run
        and activations.neuron in (select unnest($neurons))
),

correlations as (
    select
        own.neuron,
        activations.neuron as partner,
        corr(own.activation::double, activations.activation::double) as r,
        count(*) as n
    from activations
    inner join own
        on same_position(activations.run, activations.token_index, own.run, own.token_index)
    where activations.run = $run and activations.neuron <> own.neuron
    group by own.neuron, activations.neuron
)

select
    neuron,
    partner,
    r,
    n
from correlations
where isfinite(r)
qualify row_number() over (partition by neuron order by abs(r) desc, partner) <= $n_partners
order by neuron, abs(r) desc, partner;
