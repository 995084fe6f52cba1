"""Address and login of the broker."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Broker:
    """Address and login of the broker. `tls` encrypts and verifies the connection; None is plain TCP."""

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
        """Host and port, for log and error texts."""
        return f"{self.host}:{self.port}"
