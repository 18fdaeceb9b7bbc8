-- What is stored of chosen neurons once: moments and weights, each with its rank among all neurons, 1 the largest.
-- Grain: one row per (neuron, quantity).
with
facts as (
    unpivot (
        select
            neuron,
            mean_activation,
            sd_activation,
            in_norm::double as in_norm,
            gate_norm::double as gate_norm,
            out_norm::double as out_norm,
            logit_variance,
            null_space_share
        from neurons
        where run = $run
    )
    on columns(* exclude (neuron))
    into name quantity value amount
),

ranked as (
    select
        *,
        rank() over (partition by quantity order by amount desc) as "rank"
    from facts
    where isfinite(amount)
)

select
    neuron,
    quantity,
    amount,
    "rank"
from ranked
where neuron in (select unnest($neurons))
order by neuron, quantity;
