"""Home Assistant discovery of this node: published at start and after each birth message, removed when switched off."""

import random
from collections.abc import Callable, Iterable

from edge_detector import __version__
from edge_detector.config import Config
from edge_detector.detection.classes import enabled_classes
from edge_detector.mqtt import home_assistant
from edge_detector.mqtt.runtime_settings import RuntimeSettings
from edge_detector.service.factory import LoadedBundle
from edge_detector.types import Message

EMPTYING_SECONDS = 3.0


class Discovery:
    """Publishes the node's discovery; the announced entities are kept in the runtime settings.

    Args:
        config: node, topics, and whether discovery is enabled.
        networks: the bundle and the classes.
        controls: runtime settings with the enabled classes and the announced entities.
        page_url: URL of the page, or None.
        publish, save: publish a message; save the runtime settings.
        published: whether the broker has acknowledged the latest message of each of these retained topics.

    """

    def __init__(
        self,
        config: Config,
        networks: LoadedBundle,
        controls: RuntimeSettings,
        *,
        page_url: str | None,
        publish: Callable[[Message], None],
        save: Callable[[], None],
        published: Callable[[Iterable[str]], bool],
    ) -> None:
        self._config = config
        self._networks = networks
        self._controls = controls
        self._page_url = page_url
        self._publish = publish
        self._save = save
        self._published = published
        self._emptying: tuple[str, ...] = ()
        self._prepared_at_seconds = 0.0
        self._rediscovery = home_assistant.Rediscovery(random.random, config.home_assistant.prefix)

    def handle(self, message: Message, now_seconds: float) -> None:
        """Schedule an announcement if the message is Home Assistant's birth message."""
        self._rediscovery.handle(message, now_seconds)

    def due(self, now_seconds: float) -> bool:
        """Whether to announce now; true once for each birth message."""
        return self._rediscovery.due(now_seconds)

    def forget_removed(self) -> bool:
        """Forget the announced entities if discovery is off; call once the broker has acknowledged everything.

        Returns whether the settings changed and must be saved.
        """
        if self._config.home_assistant.enabled or not self._controls.settings.entities:
            return False
        self._controls.forget_entities()
        return True

    def announce(self) -> None:
        """Publish the current discovery; if discovery is off, remove the earlier one."""
        past, prefix = self._controls.settings.entities, self._config.home_assistant.prefix
        if not self._config.home_assistant.enabled:
            for message in home_assistant.removal(self._config.node, self._controls.discovered, prefix=prefix):
                self._publish(message)
            return
        device = self._device()
        for message in home_assistant.discovery(device, past=past, prefix=prefix):
            self._publish(message)
        if self._controls.remember_entities(home_assistant.platforms(device), device.sources):
            self._save()

    def prepare(self) -> None:
        """Empty discovery topics of the other layout; `announce` may follow once `prepared` is true."""
        if not self._config.home_assistant.enabled:
            return
        prefix = self._config.home_assistant.prefix
        removals = home_assistant.removed_sources(self._device(), announced=self._controls.discovered, prefix=prefix)
        for message in removals:
            self._publish(message)
        self._emptying = tuple(message.topic for message in removals)

    def prepared(self, now_seconds: float) -> bool:
        """Whether the broker has acknowledged the removals and `EMPTYING_SECONDS` have passed since."""
        if self._emptying:
            if not self._published(self._emptying):
                return False
            self._emptying, self._prepared_at_seconds = (), now_seconds + EMPTYING_SECONDS
        return now_seconds >= self._prepared_at_seconds

    def _device(self) -> home_assistant.Device:
        classes, manifest = self._networks.classes, self._networks.manifest
        return home_assistant.Device(
            node=self._config.node,
            base=f"{self._config.mqtt.base_topic}/{self._config.node}",
            version=__version__,
            bundle=f"{manifest.name} {manifest.version}",
            sources={source.name: enabled_classes(classes, self._controls.rules(source.name)) for source in self._config.sources},
            commands=self._config.mqtt.commands,
            page_url=self._page_url,
        )
