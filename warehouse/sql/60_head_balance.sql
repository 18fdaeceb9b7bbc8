-- How alike the rare and the common positions are that heads are ablated at, in what should not differ between them.
-- Each gap is the mean at rare minus that at common positions over the root of the mean variance: above 0.1 or 0.2 in
-- size it is worth a thought. The target's rank differs by design.
-- Source: Austin (2009), Statistics in Medicine 28, 3083 (standardised differences of matched samples).
-- Grain: one row per (run).
create or replace view head_balance as
with
facts as (
    select
        head_positions.run,
        head_positions.stratum,
        ln(vocabulary.frequency_rank) as input_rank,
        tokens.position::double as position
    from head_positions
    inner join tokens on head_positions.run = tokens.run and head_positions.token_index = tokens.token_index
    left join vocabulary on tokens.run = vocabulary.run and tokens.token_id = vocabulary.token_id
),

moments as (
    select
        run,
        avg(input_rank) filter (where stratum = 'rare') - avg(input_rank) filter (where stratum = 'common')
            as input_difference,
        var_samp(input_rank) filter (where stratum = 'rare') + var_samp(input_rank) filter (where stratum = 'common')
            as input_variance,
        avg(position) filter (where stratum = 'rare') - avg(position) filter (where stratum = 'common')
            as position_difference,
        var_samp(position) filter (where stratum = 'rare') + var_samp(position) filter (where stratum = 'common')
            as position_variance
    from facts
    group by run
)

select
    run,
    case when input_variance > 0 then input_difference / sqrt(input_variance / 2) end as input_gap,
    case when position_variance > 0 then position_difference / sqrt(position_variance / 2) end as position_gap
from moments;

comment on view head_balance is 'Standardised differences of the rare and common positions that heads are ablated at.';
