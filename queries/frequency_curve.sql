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

-- each position with the band of the token that decides
positions as (
    select
        tokens.run,
        tokens.token_index,
        tokens.document,
        types.band
    from tokens
    inner join types
        on
            tokens.run = types.run
            and types.token_id = case
                when $rare_by = 'target' then tokens.target_id
                when $rare_by = 'input' then tokens.token_id
                else error('rare_by is ' || $rare_by || '; it must be ''target'' or ''input''')
            end
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
    positions.run,
    groups.neuron_group,
    positions.band,
    positions.document,
    any_value(groups.n_neurons) as n_neurons,
    count(*) // any_value(groups.n_neurons) as n_positions,
    sum(abs(ablations.delta_loss::double)) as sum_abs_delta
from ablations
inner join positions on ablations.run = positions.run and ablations.token_index = positions.token_index
inner join groups on ablations.run = groups.run and ablations.neuron = groups.neuron
group by positions.run, groups.neuron_group, positions.band, positions.document
order by run, neuron_group, band, document;
