-- The neurons whose activations go with those of chosen neurons: Pearson's r over the positions, largest |r| first.
-- Caveats: the largest of many; without an interval. A neuron that never varies has no r and no row. At most ten chosen
-- neurons: they stand side by side at a position, so that every value of the others is read and joined once.
-- Grain: one row per (neuron, partner).
with
own as (
    select
        activations.run,
        activations.token_index,
        max(activations.activation::double) filter (activations.neuron = $neurons[1]) as y1,
        max(activations.activation::double) filter (activations.neuron = $neurons[2]) as y2,
        max(activations.activation::double) filter (activations.neuron = $neurons[3]) as y3,
        max(activations.activation::double) filter (activations.neuron = $neurons[4]) as y4,
        max(activations.activation::double) filter (activations.neuron = $neurons[5]) as y5,
        max(activations.activation::double) filter (activations.neuron = $neurons[6]) as y6,
        max(activations.activation::double) filter (activations.neuron = $neurons[7]) as y7,
        max(activations.activation::double) filter (activations.neuron = $neurons[8]) as y8,
        max(activations.activation::double) filter (activations.neuron = $neurons[9]) as y9,
        max(activations.activation::double) filter (activations.neuron = $neurons[10]) as y10
    from activations
    inner join tokens
        on same_position(activations.run, activations.token_index, tokens.run, tokens.token_index)
    where
        activations.run = $run
        and tokens.run = $run
        and activations.neuron in (select unnest($neurons))
    group by activations.run, activations.token_index
),

beside as (
    select
        activations.neuron as partner,
        activations.activation::double as x,
        own.*
    from activations
    inner join own
        on same_position(activations.run, activations.token_index, own.run, own.token_index)
    where activations.run = $run
),

measured as (
    select
        partner,
        [
            corr(x, y1),
            corr(x, y2),
            corr(x, y3),
            corr(x, y4),
            corr(x, y5),
            corr(x, y6),
            corr(x, y7),
            corr(x, y8),
            corr(x, y9),
            corr(x, y10)
        ] as rs,
        [
            regr_count(x, y1),
            regr_count(x, y2),
            regr_count(x, y3),
            regr_count(x, y4),
            regr_count(x, y5),
            regr_count(x, y6),
            regr_count(x, y7),
            regr_count(x, y8),
            regr_count(x, y9),
            regr_count(x, y10)
        ] as ns
    from beside
    group by partner
),

correlations as (
    select
        partner,
        unnest($neurons) as neuron,
        unnest(rs) as r,
        unnest(ns) as n
    from measured
)

select
    neuron,
    partner,
    r,
    n
from correlations
where isfinite(r) and neuron <> partner
qualify row_number() over (partition by neuron order by abs(r) desc, partner) <= $n_partners
order by neuron, abs(r) desc, partner;
