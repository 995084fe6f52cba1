"""Embedded MQTT broker of the demo: iotcore, a wheel of rumqttd, run as a child process."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_detector.errors import BrokerError

_HOST = "127.0.0.1"
# rumqttd supports MQTT 5 only with a [v5.*] section, and requires every limit.
_SETTINGS = """\
id = 0
[router]
id = 0
max_connections = 16
max_outgoing_packet_count = 1000
max_segment_size = 1048576
max_segment_count = 10
[v5.1]
name = "demo"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 65536
max_inflight_count = 100
dynamic_filters = true
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def demo_broker() -> Iterator[tuple[str, int]]:
    """Run a broker on a free loopback port during the with block; yields (host, port). Raises BrokerError."""
    try:
        import iotcore  # noqa: PLC0415 - an extra that only the demo needs
    except ModuleNotFoundError as error:
        raise BrokerError("the demo's broker is not installed; run: pip install 'edge-detector[demo]'") from error
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "broker.toml"
        settings.write_text(_SETTINGS.format(host=_HOST, port=port))
        broker = iotcore.Broker(config_path=str(settings))
        try:
            broker.start()
        except (OSError, RuntimeError) as error:
            raise BrokerError(f"the demo's broker did not start on port {port}: {error}") from error
        try:
            yield _HOST, port
        finally:
            broker.stop()
