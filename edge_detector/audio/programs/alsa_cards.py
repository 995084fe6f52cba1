"""Sound cards of ALSA, found by a part of their names as PortAudio's microphones are."""

import re
from pathlib import Path

from edge_detector.errors import UnknownDeviceError

CARDS = Path("/proc/asound/cards")
_CARD = re.compile(r"^\s*\d+ \[(\S+)\s*\]: (.*)$", re.MULTILINE)


def alsa_device(wanted: str | None, cards: str) -> str | None:
    """Return the ALSA name of the card that `wanted` is a part of, in any case; None for the default device.

    Args:
        wanted: part of a card's name or id, an ALSA name such as plughw:CARD=Device, or None.
        cards: text of /proc/asound/cards.

    Raises:
        UnknownDeviceError: no card fits, or several do.

    """
    if wanted is None or ":" in wanted:
        return wanted
    listed = list_cards(cards)
    fitting = [card for card, name in listed if wanted.casefold() in f"{card} {name}".casefold()]
    if len(fitting) == 1:
        return f"plughw:CARD={fitting[0]}"
    names = ", ".join(f"{card} ({name})" for card, name in listed) or "none"
    problem = "fits several sound cards" if fitting else "fits no sound card"
    raise UnknownDeviceError(f"{wanted!r} {problem}; there are: {names}")


def list_cards(cards: str) -> list[tuple[str, str]]:
    """Return id and name of each card in the text of /proc/asound/cards."""
    return [(match[1], match[2]) for match in _CARD.finditer(cards)]


def read_cards() -> str:
    """Return the text of /proc/asound/cards, empty without a sound card."""
    try:
        return CARDS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
