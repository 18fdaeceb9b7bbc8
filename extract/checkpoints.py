"""The checkpoints of a model that a sweep reads: `rt sweep --revisions`, and the training step in each name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from extract.settings import DEFAULT_MODEL
from warehouse.errors import ModelError

# The names that trainers give: step1000, global_step1000, checkpoint-500, stage1-step1000-tokens4B
_STEP = re.compile(r"(?:step|checkpoint)[-_]?(\d+)", re.IGNORECASE)
_GLOB = "*?["
# What the Pythia suite has on the hub, and the usual coarse choice of it.
SUITES = {
    "pythia:standard": [0, *range(4000, 125_000, 10_000), 143_000],
    "pythia:all": [0, *(2**i for i in range(10)), *range(1000, 144_000, 1000)],
}
ALLOWED = "names such as step0,step512 or a pattern such as 'step*', separated by commas, or " + ", ".join(SUITES)


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: its revision (a subfolder, or a branch of the hub) and its training step."""

    revision: str
    step: int


def step_of(revision: str | None) -> int | None:
    """The training step in the name of a revision, None where it tells none.

    >>> step_of("step1000"), step_of("global_step8"), step_of("main"), step_of(None)
    (1000, 8, None, None)
    """
    found = _STEP.findall(revision or "")
    return int(found[0]) if len(found) == 1 else None


def checkpoints(model: str, revisions: str) -> list[Checkpoint]:
    """The checkpoints that `revisions` asks for, in the order of training.

    Raises `ModelError`: a model without revisions, a name that is not there (of a local folder; what the hub has is
    seen when it is fetched), a pattern that nothing fits, a name without a step, a checkpoint named twice.
    """
    folder = Path(model).expanduser()
    if model == DEFAULT_MODEL or folder.is_file():
        raise ModelError(f"{model} has no checkpoints to sweep over", hint="a folder with stepN/ in it, or a hub id")
    asked = [part.strip() for part in revisions.split(",") if part.strip()]
    if not asked:
        raise ModelError("--revisions names no checkpoint", hint=ALLOWED)
    patterns = any(char in part for part in asked for char in _GLOB)
    there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else None
    if there is None and patterns:
        there = _on_the_hub(model)
    names: list[str] = []
    for part in asked:
        if part.startswith("pythia:"):
            names += _suite(part)
        elif any(char in part for char in _GLOB):
            names += _fitting(model, part, there or [])
        else:
            names.append(part)
    if there is not None and (unknown := [name for name in names if name not in there]):
        steps = [name for name in _by_step(there) if step_of(name) is not None]
        raise ModelError(
            f"{model} has no revision{'s' * (len(unknown) > 1)} {_listed(unknown)}",
            hint=f"revisions there: {_listed(steps) or 'none'}",
        )
    return _checked(names)


def _suite(name: str) -> list[str]:
    if name not in SUITES:
        raise ModelError(f"--revisions {name}", hint=f"there are: {', '.join(SUITES)}")
    return [f"step{step}" for step in SUITES[name]]


def _fitting(model: str, pattern: str, there: Iterable[str]) -> list[str]:
    found = [name for name in there if fnmatchcase(name, pattern)]
    if not found:
        raise ModelError(
            f"no revision of {model} fits {pattern}", hint=f"there are: {_listed(_by_step(there)) or 'none'}"
        )
    return found


def _checked(names: list[str]) -> list[Checkpoint]:
    """The names with their steps, sorted by these. Raises `ModelError` for one without, or two with the same."""
    found: dict[int, str] = {}
    for name in names:
        step = step_of(name)
        if step is None:
            raise ModelError(f"no training step in the name {name}", hint=f"--revisions takes {ALLOWED}")
        if step in found:
            other = "twice" if found[step] == name else f"and as {found[step]}"
            raise ModelError(f"--revisions names step {step} as {name} {other}", hint="name each checkpoint once")
        found[step] = name
    return [Checkpoint(found[step], step) for step in sorted(found)]


def _by_step(names: Iterable[str]) -> list[str]:
    """By step, then those without one by name."""
    return sorted(names, key=lambda name: (step_of(name) is None, step_of(name) or 0, name))


def _listed(names: list[str]) -> str:
    """So many names as a line has room for.

    >>> _listed([f"step{i}" for i in range(14)])
    'step0, step1, step2, step3, step4, step5, step6, step7, step8, step9, and 4 more'
    """
    more = f", and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _on_the_hub(model: str) -> list[str]:
    """The branches and tags of a hub model."""
    from huggingface_hub import list_repo_refs
    from huggingface_hub.errors import HfHubHTTPError

    # the bases are OSError and the error of the HTTP client, which is another package from version to version
    failures: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, ValueError)
    try:
        refs = list_repo_refs(model)
    except failures as error:
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise ModelError(
            f"no folder {model}, and the revisions of a hub id cannot be listed: {reason}",
            hint="check the name and the network, or name the revisions one by one",
        ) from error
    return sorted({ref.name for ref in (*refs.branches, *refs.tags)})
