"""The question whether the sound of events is stored."""

from edge_detector.cli.setup.prompts import ask_yes, heading, say
from edge_detector.config import ClipsConfig


def ask_clips(known: ClipsConfig) -> bool:
    """Return whether clips are stored."""
    heading("Clips of sound")
    say(
        f"A clip is kept for {known.days} days, and all of them have {known.megabytes} MB at most; one that you review stays "
        "until you delete it. Everyone who can open the page can hear them, and the people in the room should know it"
    )
    question = "Store the sound of each event on this machine, so that it can be played and reviewed in the page?"
    return ask_yes(question, default=known.enabled)
