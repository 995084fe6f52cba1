"""Reporter to the history: the probabilities of the enabled classes of each source, muted or not, from the detecting thread."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from edge_detector.audio.sample_clock import Anchor
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.classes import enabled_indices
from edge_detector.detection.hysteresis import Rule
from edge_detector.history.probabilities import Block, BlockCollector
from edge_detector.types import Scores


class ProbabilityReporter:
    """Collects the probabilities of all sources in blocks.

    Args:
        sources: hops per patch of each source, by name.
        classes: all classes, in the order of the probabilities.
        rules: returns the rules in force for a source, one for each class, enabled or not.
        minimum_age_frames: of the bundle, below which the decider ignores a window.
        put: takes each block.

    """

    def __init__(
        self,
        sources: Mapping[str, int],
        classes: Sequence[SoundClass],
        rules: Callable[[str], Sequence[Rule]],
        minimum_age_frames: int,
        put: Callable[[Block], None],
    ) -> None:
        self._collectors = {name: BlockCollector(name, hops, minimum_age_frames) for name, hops in sources.items()}
        self._slugs = [sound.slug for sound in classes]
        self._rules = rules
        self._put = put
        self.rules_changed()

    def hop(self, source: str, scores: Scores, anchor: Anchor) -> None:
        """Report the probabilities of one hop."""
        self._put_all(self._collectors[source].add(scores, anchor.at(scores.first_sample)))

    def rules_changed(self) -> None:
        """Read the rules again; other classes may be enabled."""
        for source, collector in self._collectors.items():
            indices = enabled_indices(self._rules(source))
            self._put_all(collector.use_classes(indices, [self._slugs[index] for index in indices]))

    def flush(self) -> None:
        """Hand over what is collected."""
        for collector in self._collectors.values():
            self._put_all(collector.flush())

    def _put_all(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self._put(block)
