-- The activations of all neurons at a position as one list, in the order of the neurons, with the position's class.
-- One row of the matrix (positions, neurons) that coordination, clustering and dimension are computed from.
-- Grain: one row per (run, token_index).
create or replace macro activation_rows(rare_quantile := 0.5, rare_by := 'target') as table
    select
        activations.run,
        activations.token_index,
        classes.document,
        classes.token_class,
        list(activations.activation order by activations.neuron) as activation
    from activations
    inner join token_classes(rare_quantile := rare_quantile, rare_by := rare_by) as classes
        on same_position(activations.run, activations.token_index, classes.run, classes.token_index)
    group by activations.run, activations.token_index, classes.document, classes.token_class;
