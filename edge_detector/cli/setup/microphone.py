"""The questions about the microphone: lists what there is with its level, and opens the one that is chosen."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from edge_detector.audio.microphone import Measurement, PyAudioMissingError, list_devices, measure
from edge_detector.audio.programs.alsa_cards import list_cards, read_cards
from edge_detector.cli.devices import level_text
from edge_detector.cli.doctor.sound import examine_source
from edge_detector.cli.setup.prompts import ask, ask_yes, heading, say, show
from edge_detector.config import SourceConfig
from edge_detector.levels import LEVEL_FLOOR_DBFS
from edge_detector.service.factory import LoadedBundle

LISTEN_SECONDS = 3.0
AGAIN = "r"
ALSA_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A microphone to choose.

    Attributes:
        device: `device` of the configuration; None is the default microphone.
        name: its name for people.
        is_default: it is the system's default.
        found: its level, or None where it is not measured.

    """

    device: str | None
    name: str
    is_default: bool = False
    found: Measurement | None = None

    @property
    def sounds(self) -> bool:
        """Whether it gives more than digital silence."""
        return self.found is not None and (self.found.level_dbfs or LEVEL_FLOOR_DBFS) > LEVEL_FLOOR_DBFS


def ask_microphone(source: SourceConfig, networks: LoadedBundle) -> str | None:
    """Return the device of a source, tried out; None is the default microphone."""
    heading(f"Microphone of the source {source.name}")
    while True:
        candidates = list(_listed(source.kind))
        if not candidates:
            say("no microphone was found; plug one in, and see whether arecord -l lists it")
            if ask_yes("Look again?", default=True):
                continue
            return source.device
        suggested = str(best(candidates, source.device) + 1)
        answer = ask(f"Which one? Its number or a part of its name, {AGAIN} to look again", suggested)
        if answer == AGAIN:
            continue
        chosen = choose(candidates, answer)
        if chosen is None:
            say(f"{answer!r} is not one of them, or is several; give its number")
            continue
        say(f"Listening to {chosen.name} for {LISTEN_SECONDS:g} s; make a sound.")
        findings = examine_source(
            replace(source, device=chosen.device), networks, networks.rules[source.hops_per_patch], LISTEN_SECONDS
        )
        show(findings)
        if all(finding.verdict == "good" for finding in findings):
            return chosen.device
        if ask_yes("Use it all the same?", default=not any(finding.verdict == "bad" for finding in findings)):
            return chosen.device


def _listed(kind: str) -> Iterator[Candidate]:
    """Yield the microphones, and print each as soon as it is measured."""
    for number, candidate in enumerate(_cards(kind) if kind == "arecord" else _microphones(), 1):
        level = "" if candidate.found is None else f"  {level_text(candidate.found)}"
        say(f"{number:3}  {candidate.name}{'  (the default)' if candidate.is_default else ''}{level}")
        yield candidate


def _microphones() -> Iterator[Candidate]:
    try:
        devices = list_devices()
    except PyAudioMissingError:
        yield from _cards("mic")
        return
    for device in devices:
        # ALSA's own default has no name that arecord, which records without PyAudio, would find among the cards.
        name = None if device.name == ALSA_DEFAULT else device.name
        yield Candidate(name, device.name, device.is_default, measure(device.name))


def _cards(kind: str) -> Iterator[Candidate]:
    yield from cards(kind, list_cards(read_cards()))


def cards(kind: str, listed: Sequence[tuple[str, str]]) -> Iterator[Candidate]:
    """Yield ALSA's cards, given by id and name, then its default: by name for `mic`, as PortAudio has it, if that is enough."""
    names = [name.rpartition(" - ")[2] for _, name in listed]
    for (card, _), name in zip(listed, names, strict=True):
        is_clear = kind == "mic" and names.count(name) == 1 and ":" not in name
        yield Candidate(name if is_clear else f"plughw:CARD={card}", f"{name} ({card})")
    # Last, since on a Pi it is card 0, which has no input; with PulseAudio it may be all there is.
    yield Candidate(None, ALSA_DEFAULT)


def best(candidates: Sequence[Candidate], current: str | None) -> int:
    """Return the index to suggest: the present device, else the default if it gives sound, else another that does."""
    wishes: tuple[Callable[[Candidate], bool], ...] = (
        lambda each: current is not None and each.device == current,
        lambda each: current is not None and current.casefold() in each.name.casefold(),
        lambda each: each.is_default and each.sounds,
        lambda each: each.sounds,
        lambda each: each.is_default,
    )
    fitting = ([number for number, each in enumerate(candidates) if wish(each)] for wish in wishes)
    return next((numbers[0] for numbers in fitting if numbers), 0)


def choose(candidates: Sequence[Candidate], answer: str) -> Candidate | None:
    """Return the candidate of this number, from 1, or with this in its name; None if none or several fit."""
    if answer.isdecimal():
        return candidates[int(answer) - 1] if 1 <= int(answer) <= len(candidates) else None
    named = [each for each in candidates if each.name == answer]
    fitting = named or [each for each in candidates if answer.casefold() in each.name.casefold()]
    return fitting[0] if len(fitting) == 1 else None
