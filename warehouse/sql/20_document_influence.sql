-- How much each neuron's ablation changes the loss in each document: the sums that every analysis of influence needs.
-- Sums of the signed delta and of its absolute value over the positions of a class; `all` is rare and common together.
-- Grain: one row per (run, token_class, document, neuron).
create or replace macro document_influence(rare_quantile := 0.5, rare_by := 'target') as table
    select
        ablations.run,
        classes.token_class,
        classes.document,
        ablations.neuron,
        count(*) as n_positions,
        sum(ablations.delta_loss::double) as sum_delta,
        sum(abs(ablations.delta_loss::double)) as sum_abs_delta
    from ablations
    inner join token_classes(rare_quantile := rare_quantile, rare_by := rare_by) as classes
        on
            ablations.run = classes.run
            and ablations.token_index = classes.token_index
    group by ablations.run, classes.token_class, classes.document, ablations.neuron;
