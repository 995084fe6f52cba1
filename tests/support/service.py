"""`edge-detector run` with the bundle that ships, as a process that can be killed and frozen."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.broker import Broker
from tests.support.ledger import decided, keep_ledger
from tests.support.relay import Relay
from tests.support.rig import Rig


class Service(Rig):
    """It listens to the microphone "cot" that `environment` makes its process see.

    Args:
        state: its state directory; its folder by default.
        clock: a file that holds the seconds by which its system clock is off.

    Attributes:
        base: what its topics begin with.

    """

    def __init__(
        self,
        broker: Broker | Relay,
        environment: Mapping[str, str],
        *,
        node: str = "nursery",
        mqtt: str = "",
        state: Path | None = None,
        clock: Path | None = None,
    ) -> None:
        super().__init__("edge-detector", stop_seconds=30.0)
        self.base = f"edge_detector/{node}"
        state = state or self.folder
        self._outbox = state / "outbox.sqlite"
        self._module = "edge_detector" if clock is None else "tests.support.clocked"
        self._environment = {**os.environ, **environment, "STATE_DIRECTORY": str(state), "NOTIFY_SOCKET": ""}
        if clock is not None:
            self._environment["CLOCK_OFFSET"] = str(clock)
        self._config = self.folder / "edge.toml"
        self._config.write_text(
            f'[node]\nname = "{node}"\n[[source]]\nname = "cot"\n[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{mqtt}\n'
        )
        keep_ledger(self._outbox)

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.launch([sys.executable, "-m", self._module, "run", "--config", str(self._config)], self._environment)

    def decided(self) -> list[str]:
        """Message ids of all events that it ever committed, in order; only while it is stopped."""
        return decided(self._outbox)
