"""Runs of a sweep are of one training: what is in the lake is held against the checkpoints that are there now."""

from collections.abc import Mapping
from pathlib import Path

from extract.model_files import ModelFiles
from extract.models import resolve
from extract.session import Inputs
from warehouse.errors import LakeError, ModelError
from warehouse.lake import open_lake, removal
from warehouse.run_folder import RunFolder


def published(inputs: Inputs) -> list[RunFolder]:
    """The runs of the inputs' sweep that are in the lake."""
    lake = inputs.settings.lake
    runs = open_lake(lake).runs if inputs.sweep and (lake / "runs").is_dir() else ()
    return [run for run in runs if run.manifest.get("sweep") == inputs.sweep]


def check_same_training(inputs: Inputs, hashed: Mapping[str, ModelFiles]) -> None:
    """Raise `LakeError` if a checkpoint whose run is in the lake has other weights, or another configuration, now.

    A training that was done again in the same folder would otherwise be mixed with the first. All runs of the sweep
    count, also those that are not asked for again. `hashed` are the files, by revision, that need no second look; of
    the others those are hashed that are in a local folder. A checkpoint that is not there any more tells nothing.
    """
    is_local = Path(inputs.files.model).expanduser().is_dir()
    changed = []
    for run in published(inputs):
        revision = run.manifest["config"]["revision"]
        files = hashed.get(revision) or (_found(inputs.files.model, revision) if is_local else None)
        if files is not None and _facts(files) != _made_from(run):
            changed.append((run.name, revision))
    if changed:
        run_name, revision = changed[0]
        more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise LakeError(
            f"{run_name} in {inputs.settings.lake} was made from other files of {revision}{more}: the checkpoints of "
            f"{inputs.files.model} changed",
            hint="runs of two trainings make no trajectory: use another --lake, keep the new training in another "
            f"folder, or remove the runs of the first (`{removal(run_name)}`)",
        )


def _found(model: str, revision: str) -> ModelFiles | None:
    try:
        return resolve(model, revision)
    except ModelError:  # removed, or without weights
        return None


def _facts(files: ModelFiles) -> tuple[list[str], str]:
    return sorted(files.weights.values()), files.config_sha256


def _made_from(run: RunFolder) -> tuple[list[str], str]:
    made = run.manifest["model"]
    return sorted(made["weights_sha256"].values()), made["config_sha256"]
