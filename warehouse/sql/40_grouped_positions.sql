-- The positions at which neurons are compared, with their class and, at the first position of a run, what is known of
-- its neurons: regime, core, influence and, where the run has weights, the rows of W_out; and whether its MLP is gated,
-- so that the sign of an activation is arbitrary.
-- The lists of neurons are null at all other positions: repeated at each of 25,000 they would fill a gigabyte.
-- Caveats: needs the table `plateau_stability` beside the views; the regimes are those of the rare tokens, for either
-- class.
-- Grain: one row per (run, token_index).
create or replace macro grouped_positions(rare_quantile := 0.5, rare_by := 'target') as table
    with
    -- where the lists of a run go
    firsts as (
        select
            run,
            min(token_index) as token_index
        from token_classes(rare_quantile := rare_quantile, rare_by := rare_by)
        group by run
    ),

    -- one row of lists per run, in the order of the neurons
    neurons as (
        select
            run,
            list(neuron order by neuron) as neuron,
            list(regime order by neuron) as regime,
            list(is_core order by neuron) as is_core,
            list(influence order by neuron) as influence
        from plateau_stability
        where token_class = 'rare'
        group by run
    ),

    -- rows of W_out, of the neurons that were measured
    directions as (
        select
            weights.run,
            list(weights.weight order by weights.neuron) as out_weight
        from weights
        inner join plateau_stability
            on
                weights.run = plateau_stability.run
                and weights.neuron = plateau_stability.neuron
                and plateau_stability.token_class = 'rare'
        where weights.side = 'out'
        group by weights.run
    )

    -- joined by position, not by run: a join copies its lists to every row that matches
    select
        positions.run,
        positions.token_index,
        positions.document,
        positions.token_class,
        known.neuron,
        known.regime,
        known.is_core,
        known.influence,
        known.out_weight,
        known.is_gated
    from token_classes(rare_quantile := rare_quantile, rare_by := rare_by) as positions
    left join (
        select
            firsts.run,
            firsts.token_index,
            neurons.neuron,
            neurons.regime,
            neurons.is_core,
            neurons.influence,
            directions.out_weight,
            gated_runs.is_gated
        from firsts
        inner join neurons on firsts.run = neurons.run
        left join gated_runs on firsts.run = gated_runs.run
        left join directions on firsts.run = directions.run
    ) as known
        on
            positions.run = known.run
            and positions.token_index = known.token_index
    where positions.run in (select neurons.run from neurons);
