-- Is a token rare or common? By the frequency of its type, never by its loss.
-- Rare is the bottom `rare_quantile` of the vocabulary by frequency: frequency_rank > (1 - rare_quantile) * n, of the n
-- types of the run that have a rank. `rare_by` says which token of a position decides: 'target' (to be predicted; the
-- default) or 'input' (read). Positions whose token has no rank (control tokens) have no class and no row.
-- Grain: one row per (run, token_index).
create or replace macro token_classes(rare_quantile := 0.5, rare_by := 'target') as table
    with
    -- the parameters, or an error that says what is allowed
    choice as (
        select
            case
                when rare_quantile > 0 and rare_quantile < 1 then rare_quantile::double
                else
                    error(
                        'rare_quantile is '
                        || coalesce(rare_quantile::varchar, 'null')
                        || '; it must be between 0 and 1'
                    )
            end as quantile,
            case
                when rare_by in ('target', 'input') then rare_by
                else
                    error('rare_by is ' || coalesce(rare_by::varchar, 'null') || '; it must be ''target'' or ''input''')
            end as decider
    ),

    -- the types that have a rank, and how many there are in the run
    types as (
        select
            run,
            token_id,
            frequency_rank,
            count(*) over (partition by run) as n_types
        from vocabulary
        where frequency_rank is not null
    ),

    -- the token that decides about each position, on its own: inside the condition of the join below, the choice would
    -- make DuckDB pair every position with the whole vocabulary first
    positions as (
        select
            tokens.run,
            tokens.token_index,
            tokens.document,
            choice.quantile,
            case when choice.decider = 'target' then tokens.target_id else tokens.token_id end as token_id
        from tokens
        cross join choice
    )

    select
        positions.run,
        positions.token_index,
        positions.document,
        case
        -- rounded, so that 0.9 of 10 types is 9 of them
            when types.frequency_rank > types.n_types - round(positions.quantile * types.n_types, 6) then 'rare'
            else 'common'
        end as token_class
    from positions
    inner join types
        on
            positions.run = types.run
            and positions.token_id = types.token_id;
