-- The tokens whose logits chosen neurons raise and lower most, with their texts.
-- Grain: one row per (neuron, direction, rank).
select
    neuron_logits.neuron,
    neuron_logits.direction,
    neuron_logits."rank",
    coalesce(vocabulary.token, '[id:' || neuron_logits.token_id || ']') as token,
    neuron_logits.effect
from neuron_logits
left join vocabulary
    on neuron_logits.run = vocabulary.run and neuron_logits.token_id = vocabulary.token_id
where
    neuron_logits.run = $run
    and neuron_logits.neuron in (select unnest($neurons))
    and neuron_logits."rank" < $n_logits
order by neuron, direction, "rank";
