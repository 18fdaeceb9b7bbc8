-- Vectors of the same positions at every checkpoint of a sweep: what a training does to representations.
-- `residual` is the residual stream before the final norm, `layer 3` that after layer 3 (rt extract --layers), and
-- `leading neurons` the activations of the 50 neurons that have the largest mean |change of loss| at the last
-- checkpoint. A trajectory has the id of its last checkpoint's run.
-- Grain: one row per (run, representation, step, sample).
create or replace view trajectory_states as
with
trajectories as (
    select
        last_run as run,
        run as checkpoint,
        step
    from sweep_runs
),

losses as (
    select
        run,
        avg(loss)::double as loss
    from tokens
    group by run
),

leaders as (
    select
        run,
        neuron
    from ablations
    where run in (select run from trajectories)
    group by run, neuron
    qualify row_number() over (partition by run order by avg(abs(delta_loss)) desc, neuron) <= 50
),

-- with their step at once: a condition on it then reaches the files, so that one checkpoint can be asked for
vectors as (
    select
        trajectories.run,
        trajectories.step,
        trajectories.checkpoint,
        'residual' as representation,
        residuals.token_index,
        residuals.residual as vector
    from residuals
    inner join trajectories on residuals.run = trajectories.checkpoint
    union all
    select
        trajectories.run,
        trajectories.step,
        trajectories.checkpoint,
        'layer ' || states.layer,
        states.token_index,
        states.state
    from states
    inner join trajectories on states.run = trajectories.checkpoint
    union all
    select
        trajectories.run,
        trajectories.step,
        trajectories.checkpoint,
        'leading neurons',
        activations.token_index,
        list(activations.activation order by activations.neuron)
    from activations
    inner join trajectories on activations.run = trajectories.checkpoint
    inner join leaders on trajectories.run = leaders.run and activations.neuron = leaders.neuron
    group by trajectories.run, trajectories.step, trajectories.checkpoint, activations.token_index
)

select
    vectors.run,
    vectors.representation,
    vectors.step,
    vectors.token_index::bigint as sample,
    tokens.document::varchar as document,
    null::varchar as label,
    vectors.vector::float[] as vector,
    losses.loss,
    null::double as test_loss,
    null::double as train_accuracy,
    null::double as test_accuracy,
    null::double as weight_decay,
    null::bigint as seed
from vectors
inner join tokens on vectors.checkpoint = tokens.run and vectors.token_index = tokens.token_index
inner join losses on vectors.checkpoint = losses.run;

comment on view trajectory_states is 'Vectors of the same positions at every checkpoint of a sweep, by representation.';
