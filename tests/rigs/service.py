"""`edge-detector run` with the bundle that ships, as a process that can be killed and frozen."""

import os
import sys
from collections.abc import Mapping

from tests.rigs.broker import Broker
from tests.rigs.ledger import decided, keep_ledger
from tests.rigs.rig import Rig


class Service(Rig):
    """Its folder is its state directory. It listens to the microphone "cot" that `environment` makes its process see.

    Attributes:
        base: what its topics begin with.

    """

    def __init__(self, broker: Broker, environment: Mapping[str, str], *, node: str = "nursery", mqtt: str = "") -> None:
        super().__init__("edge-detector", stop_seconds=30.0)
        self.base = f"edge_detector/{node}"
        self._outbox = self.folder / "outbox.sqlite"
        self._environment = {**os.environ, **environment, "STATE_DIRECTORY": str(self.folder), "NOTIFY_SOCKET": ""}
        self._config = self.folder / "edge.toml"
        self._config.write_text(
            f'[node]\nname = "{node}"\n[[source]]\nname = "cot"\n[mqtt]\nhost = "{broker.host}"\nport = {broker.port}\n{mqtt}\n'
        )
        keep_ledger(self._outbox)

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.launch([sys.executable, "-m", "edge_detector", "run", "--config", str(self._config)], self._environment)

    def decided(self) -> list[str]:
        """Message ids of all events that it ever committed, in order; only while it is stopped."""
        return decided(self._outbox)
