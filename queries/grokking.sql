-- Accuracies at every checkpoint of a training, with the step at which its phase coordinate crosses 0.
-- Caveats: needs files with train_accuracy and test_accuracy (--states); accuracies are those of a whole step.
-- Grain: one row per (run, representation, step).
with
facts as (
    select
        run,
        representation,
        step,
        any_value(train_accuracy) as train_accuracy,
        any_value(test_accuracy) as test_accuracy,
        any_value(weight_decay) as weight_decay,
        any_value(seed) as seed
    from trajectory_states
    where isfinite(train_accuracy) and isfinite(test_accuracy)
    group by run, representation, step
)

select
    facts.*,
    phase.estimate as crossing,
    phase.low as crossing_low,
    phase.high as crossing_high,
    phase.reason as crossing_reason,
    phase.verdict as crossing_verdict
from facts
left join phase
    on
        facts.run = phase.run
        and facts.representation = phase.representation
        and phase.measure = 'crossing_sgd'
order by run, representation, step;
