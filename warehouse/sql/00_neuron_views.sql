-- The two halves of neuron_tokens, each without the rows that were not measured.
-- Grain: one row per (run, neuron, token_index).
create or replace view activations as
select
    run,
    neuron,
    token_index,
    activation
from neuron_tokens
where activation is not null;

create or replace view ablations as
select
    run,
    neuron,
    token_index,
    delta_loss,
    delta_frozen_norm,
    delta_frozen_frequency
from neuron_tokens
where delta_loss is not null;

comment on view activations is 'Activation of every neuron at every analysed position.';
comment on view ablations is 'Change of the loss when a neuron is set to its mean, at every analysed position.';

-- In a gated MLP the sign of a neuron is arbitrary: turning a row of `up` and the row of W_out changes nothing.
-- Grain: one row per run.
create or replace view gated_runs as
select
    run,
    coalesce(bool_or(gate_norm is not null), false) as is_gated
from neurons
group by run;

comment on view gated_runs is 'Whether the MLP of a run is gated, so that the sign of a neuron is arbitrary.';
