-- The residual stream after every layer at the sampled positions, with the token read there and the one before it.
-- Grain: one row per (run, layer, token_index).
create or replace view state_rows as
with
-- the token before is known where the position before was analysed
positions as (
    select
        run,
        token_index,
        document,
        position,
        token_id,
        case
            when lag(position) over (partition by run, document, "window" order by position) = position - 1
                then lag(token_id) over (partition by run, document, "window" order by position)
        end as previous_id
    from tokens
)

select
    states.run,
    states.layer,
    states.token_index,
    positions.document,
    positions.position,
    positions.token_id,
    positions.previous_id,
    vocabulary.token,
    vocabulary.frequency_rank,
    states.state
from states
inner join positions on states.run = positions.run and states.token_index = positions.token_index
left join vocabulary on positions.run = vocabulary.run and positions.token_id = vocabulary.token_id;

comment on view state_rows is 'Residual states after every layer at the sampled positions, with their tokens.';
