"""Names for tasks that appear by themselves."""

import random

_DO = ("Water", "Mend", "Paint", "Count", "Polish", "Find", "Feed", "Fold")
_WHAT = ("the plants", "the fence", "the bridge", "the stars", "the silver", "the cat", "the ducks", "the laundry")


def generate_random_name() -> str:
    """One of them."""
    return f"{random.choice(_DO)} {random.choice(_WHAT)}"
