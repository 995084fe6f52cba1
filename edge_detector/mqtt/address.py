"""Where the broker is."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it. `tls` encrypts, and verifies as it says; None is plain TCP."""

    host: str
    port: int
    client_id: str
    protocol: str = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_seconds: int = 15
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Host and port, for sentences."""
        return f"{self.host}:{self.port}"
