-- How much each neuron's ablation changes the loss in each document: the sums that every analysis of influence needs.
-- Sums of the signed delta and of its absolute value over the positions of a class; `all` is rare and common together.
-- Grain: one row per (run, token_class, document, neuron).
create or replace macro document_influence(rare_quantile := 0.5, rare_by := 'target') as table
    with
    -- positions with the number of their run, class and document: pairs are grouped by integers, not by texts
    positions as (
        select
            *,
            dense_rank() over (order by run, token_class, document)::integer as cell
        from token_classes(rare_quantile := rare_quantile, rare_by := rare_by)
    ),

    cells as (
        select distinct
            run,
            token_class,
            document,
            cell
        from positions
    ),

    sums as (
        select
            positions.cell,
            ablations.neuron,
            count(*) as n_positions,
            sum(ablations.delta_loss::double) as sum_delta,
            sum(abs(ablations.delta_loss::double)) as sum_abs_delta
        from ablations
        inner join positions
            on same_position(ablations.run, ablations.token_index, positions.run, positions.token_index)
        group by positions.cell, ablations.neuron
    )

    select
        cells.run,
        cells.token_class,
        cells.document,
        sums.neuron,
        sums.n_positions,
        sums.sum_delta,
        sums.sum_abs_delta
    from sums
    inner join cells on sums.cell = cells.cell;
