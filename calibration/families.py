"""All families of lakes, in the order in which they are run: the quick ones first."""

from calibration.confidence import FROZEN
from calibration.coordination import COUPLED, FIXED, SLOPING
from calibration.influence import GRADED, RANKING
from calibration.laws import CLASSES, LAWS

FAMILIES = (GRADED, FROZEN, FIXED, RANKING, COUPLED, SLOPING, LAWS, CLASSES)


def slugs() -> list[str]:
    """The analyses that are calibrated."""
    return sorted({study.slug for family in FAMILIES for study in family.studies})
