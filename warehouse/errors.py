"""The errors that are the user's to mend.

`RtError`: what was received, what is allowed, and (in `hint`) what to do.
    `LakeError`: the lake, a run in it, or a file of it.
    `CorpusError`: the text, its documents, or their windows.
    `ModelError`: the model, its weights, or a family that is not supported.
    `QueryError`: an analysis, its parameters, or a condition on its input.

The command line prints one line and the hint on stderr and exits with 1. Anything else that is raised is a defect of
this project and shows as a plain traceback.
"""


class RtError(Exception):
    """An error the user can mend: `message` in one line, `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LakeError(RtError):
    """The lake, a run in it, or one of its files."""


class CorpusError(RtError):
    """The text, its documents, or their windows."""


class ModelError(RtError):
    """The model, its weights, or its family."""


class QueryError(RtError):
    """An analysis, its parameters, or a condition on its input."""
