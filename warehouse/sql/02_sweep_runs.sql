-- The checkpoints of every sweep, each with the run of the last one: what analyses over training steps call their run.
-- Of checkpoints with the same weights only the last step is here: one measurement must not be taken for two. Of a step
-- that was measured twice, the run that was published last.
-- Grain: one row per (sweep, step).
create or replace view sweep_runs as
with
checkpoints as (
    select
        sweep,
        run,
        step,
        coalesce(weights_sha256, run) as weights
    from runs
    where sweep is not null and step is not null
    qualify row_number() over (partition by sweep, step order by created_at desc, run desc) = 1
),

-- without copies of later ones
different as (
    select *
    from checkpoints
    qualify step = max(step) over (partition by sweep, weights)
)

select
    sweep,
    step,
    run,
    arg_max(run, step) over (partition by sweep) as last_run
from different;

comment on view sweep_runs is 'The checkpoints of every sweep, each with the run of the last one.';
