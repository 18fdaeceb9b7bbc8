-- The activations of all neurons at every position and, at the first position of a run, what is known of its neurons:
-- regime, core, influence and, where the run has weights, the rows of W_out.
-- The lists of neurons are null at all other positions: repeated at each of 25,000 they would fill a gigabyte.
-- Caveats: needs the table `plateau_stability` beside the views; the regimes are those of the rare tokens, for either
-- class.
-- Grain: one row per (run, token_index).
create or replace macro grouped_activations(rare_quantile := 0.5, rare_by := 'target') as table
    with
    positions as (
        select
            *,
            row_number() over (partition by run order by token_index) = 1 as is_first
        from activation_rows(rare_quantile := rare_quantile, rare_by := rare_by)
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

    select
        positions.run,
        positions.token_index,
        positions.document,
        positions.token_class,
        positions.activation,
        if(positions.is_first, neurons.neuron, null) as neuron,
        if(positions.is_first, neurons.regime, null) as regime,
        if(positions.is_first, neurons.is_core, null) as is_core,
        if(positions.is_first, neurons.influence, null) as influence,
        if(positions.is_first, directions.out_weight, null) as out_weight
    from positions
    inner join neurons on positions.run = neurons.run
    left join directions on positions.run = directions.run;
