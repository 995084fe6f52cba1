"""Reporter to the page: views of the node, spectrogram and probabilities, from the detecting thread."""

from collections.abc import Callable, Iterator, Sequence

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.classes import enabled_indices
from edge_detector.detection.hysteresis import Rule
from edge_detector.types import Float32, Message, Scores
from edge_detector.web.feed import Feed, Frames, Hop
from edge_detector.web.views import ClassView


class PageReporter:
    """Reports to a feed what the sources deliver.

    Args:
        feed: receives it.
        classes: all classes, in the order of the probabilities.
        rules: returns the rules in force for a source, one for each class, enabled or not.
        defaults: returns the rules of bundle and configuration for a source, likewise.

    """

    def __init__(
        self,
        feed: Feed,
        classes: Sequence[SoundClass],
        rules: Callable[[str], Sequence[Rule]],
        defaults: Callable[[str], Sequence[Rule]],
    ) -> None:
        self._feed = feed
        self._classes = classes
        self._rules = rules
        self._defaults = defaults
        self._enabled: dict[str, tuple[list[int], tuple[str, ...]]] = {}

    def frames_of(self, source: str) -> Callable[[Float32, int], None]:
        """Return the function that takes a source's log-mel frames."""
        return lambda log_mel, end_sample: self._feed.put_frames(Frames(source, log_mel, end_sample))

    def hop(self, source: str, scores: Scores, anchor: Anchor) -> None:
        """Report level and probabilities of one hop."""
        if source not in self._enabled:
            indices = list(enabled_indices(self._rules(source)))
            self._enabled[source] = indices, tuple(self._classes[index].slug for index in indices)
        indices, slugs = self._enabled[source]
        utc_seconds = anchor.at(scores.end_sample)
        self._feed.put_hop(Hop(source, utc_seconds, scores.level_dbfs, slugs, scores.probabilities[indices]))

    def event(self, message: Message) -> None:
        """Report the start or the end of an event."""
        self._feed.put_event(message)

    def rules_changed(self) -> None:
        """Read the rules again; other classes may be enabled."""
        self._enabled.clear()

    def classes_of(self, source: str) -> Iterator[ClassView]:
        """Yield the enabled classes of a source with their thresholds."""
        for sound, rule, default in zip(self._classes, self._rules(source), self._defaults(source), strict=True):
            if rule.enabled:
                yield ClassView(sound.slug, sound.label, rule.on, rule.off, default.on)
