"""Counts in words."""


def counted(n: int, noun: str) -> str:
    """A count with its noun, which is in the plural unless there is one; thousands are separated.

    >>> counted(1, "document"), counted(0, "position"), counted(1234, "neuron")
    ('1 document', '0 positions', '1,234 neurons')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
