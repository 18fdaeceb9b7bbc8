-- How influence grows from frequent to rare tokens, for the plateau's core and the rest: sums per document and band.
-- Source: neuron influence by token frequency, Liu et al., arXiv 2509.04479, here by tenths of the ranked vocabulary.
-- Caveats: band 1 is the most frequent tenth of the types that have a rank and holds most positions; the core is that
-- of all tokens, because a core chosen on rare tokens would look selective for rare tokens by the choice alone.
-- Grain: one row per (run, neuron_group, band, document).
with
-- each type's tenth of the vocabulary by frequency rank
types as (
    select
        run,
        token_id,
        least(10, 1 + floor(10 * (frequency_rank - 1) / count(*) over (partition by run)))::integer as band
    from vocabulary
    where frequency_rank is not null
),

-- the token that decides about each position, on its own: inside the condition of the join below, the choice would make
-- DuckDB pair every position with the whole vocabulary first
decided as (
    select
        run,
        token_index,
        document,
        case
            when $rare_by = 'target' then target_id
            when $rare_by = 'input' then token_id
            else error('rare_by is ' || $rare_by || '; it must be ''target'' or ''input''')
        end as token_id
    from tokens
),

-- each position with the band of that token, and the number of its run, band and document
positions as (
    select
        decided.run,
        decided.token_index,
        decided.document,
        types.band,
        dense_rank() over (order by decided.run, types.band, decided.document)::integer as cell
    from decided
    inner join types
        on
            decided.run = types.run
            and decided.token_id = types.token_id
),

-- sums of every neuron, by integers alone
sums as (
    select
        positions.cell,
        ablations.neuron,
        count(*) as n_positions,
        sum(abs(ablations.delta_loss::double)) as sum_abs_delta
    from ablations
    inner join positions
        on same_position(ablations.run, ablations.token_index, positions.run, positions.token_index)
    group by positions.cell, ablations.neuron
),

cells as (
    select distinct
        run,
        band,
        document,
        cell
    from positions
),

-- each neuron with its group, and how large that is
groups as (
    select
        run,
        neuron,
        if(coalesce(is_core, false), 'plateau', 'rest') as neuron_group,
        count(*) over (partition by run, coalesce(is_core, false)) as n_neurons
    from plateau_stability
    where token_class = 'all'
)

select
    cells.run,
    groups.neuron_group,
    cells.band,
    cells.document,
    any_value(groups.n_neurons) as n_neurons,
    sum(sums.n_positions)::bigint // any_value(groups.n_neurons) as n_positions,
    -- in order: sums of floats depend on it, and threads come to neurons in any
    sum(sums.sum_abs_delta order by sums.neuron) as sum_abs_delta
from sums
inner join cells on sums.cell = cells.cell
inner join groups on cells.run = groups.run and sums.neuron = groups.neuron
group by cells.run, groups.neuron_group, cells.band, cells.document
order by run, neuron_group, band, document;
