"""Which runs of a lake are checkpoints of one sweep, from their manifests: what a report shows, and what it reads."""

from collections.abc import Collection, Iterable, Sequence

from warehouse.run_folder import RunFolder


def last_checkpoints(runs: Sequence[RunFolder]) -> list[str]:
    """The run of the last step of each sweep, and all runs outside any, in the order of `runs`.

    Of a step that was measured twice the run that was published last, as in the view `sweep_runs`.
    """
    last: dict[str, RunFolder] = {}
    for run in sorted(runs, key=lambda run: (run.step, run.manifest["created_at"], run.name)):
        last[run.sweep] = run
    return [run.name for run in runs if not run.sweep or last[run.sweep] is run]


def trajectories(runs: Sequence[RunFolder], names: Iterable[str]) -> list[str]:
    """The runs `names`, and the earlier checkpoints of their sweeps: the way that led to them.

    Another run of the same step is no part of that way: it would take the place of the one that is named.
    """
    wanted: Collection[str] = set(names)
    last: dict[str, int] = {}
    for run in runs:
        if run.name in wanted and run.sweep:
            last[run.sweep] = max(run.step, last.get(run.sweep, -1))
    return [run.name for run in runs if run.name in wanted or (run.sweep in last and run.step < last[run.sweep])]
