"""All families of lakes, in the order in which they are run: the quick ones first."""

from calibration.autoencoders import ATOMS_ANEW, ATOMS_FIXED
from calibration.confidence import FROZEN
from calibration.coordination import COUPLED, FIXED, OPPOSED, SLOPING
from calibration.corpora import CORPORA
from calibration.heads import HEAD_PASS
from calibration.influence import GRADED, RANKING
from calibration.laws import CLASSES, COMPONENT, LAWS, TAILS
from calibration.layers import DEEP, LAYERED

FAMILIES = (
    GRADED,
    FROZEN,
    FIXED,
    RANKING,
    CORPORA,
    COUPLED,
    OPPOSED,
    SLOPING,
    LAWS,
    COMPONENT,
    TAILS,
    CLASSES,
    HEAD_PASS,
    DEEP,
    LAYERED,
    ATOMS_ANEW,
    ATOMS_FIXED,
)


def slugs() -> list[str]:
    """The analyses that are calibrated."""
    return sorted({study.slug for family in FAMILIES for study in family.studies})
