"""Tells Home Assistant of this node, again when it has started anew, and takes the node away when that is switched off."""

import random
from collections.abc import Callable

from edge_detector import __version__
from edge_detector.cli.build import Ears
from edge_detector.core import home_assistant
from edge_detector.core.classes import enabled_classes
from edge_detector.core.config import Config
from edge_detector.core.controls import Controls
from edge_detector.types import Message


class Discovery:
    """Publishes the node's discovery; what Home Assistant was told of is kept with the controls' settings.

    Args:
        config: node, topics, and whether Home Assistant is to know at all.
        ears: the bundle, and the classes.
        controls: know which classes are on, and remember the entities.
        publish, save: take a message; keep the controls' settings.

    """

    def __init__(
        self,
        config: Config,
        ears: Ears,
        controls: Controls,
        *,
        publish: Callable[[Message], None],
        save: Callable[[], None],
    ) -> None:
        self._config = config
        self._ears = ears
        self._controls = controls
        self._publish = publish
        self._save = save
        self._rediscovery = home_assistant.Rediscovery(random.random, config.home_assistant.prefix)

    def hear(self, message: Message, now_seconds: float) -> None:
        """Take note of a message, if it is Home Assistant's birth."""
        self._rediscovery.hear(message, now_seconds)

    def due(self, now_seconds: float) -> bool:
        """Whether to announce now; true once for each birth."""
        return self._rediscovery.due(now_seconds)

    def forget_removed(self) -> bool:
        """The broker has everything that was published: was the node taken away, Home Assistant has it no more.

        Returns whether that is news, to be saved.
        """
        if self._config.home_assistant.enabled or not self._controls.settings.entities:
            return False
        self._controls.forget_entities()
        return True

    def announce(self) -> None:
        """Publish the node as it is now; without Home Assistant, take away what it was told earlier."""
        prefix = self._config.home_assistant.prefix
        if not self._config.home_assistant.enabled:
            past = self._controls.settings.entities
            sources = [source.name for source in self._config.sources]
            for message in home_assistant.removal(self._config.node, sources, past=past, prefix=prefix) if past else ():
                self._publish(message)
            return
        classes, manifest = self._ears.classes, self._ears.manifest
        enabled = {source.name: enabled_classes(classes, self._controls.rules(source.name)) for source in self._config.sources}
        device = home_assistant.Device(
            node=self._config.node,
            base=f"{self._config.mqtt.base_topic}/{self._config.node}",
            version=__version__,
            bundle=f"{manifest.name} {manifest.version}",
            sources=enabled,
            commands=self._config.mqtt.commands,
        )
        past = self._controls.settings.entities
        for message in home_assistant.discovery(device, past=past, prefix=prefix):
            self._publish(message)
        if self._controls.remember_entities(home_assistant.platforms(device)):
            self._save()
