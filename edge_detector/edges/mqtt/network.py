"""paho's client where it has no hook, and the one thread that runs it.

paho's own thread ends at the first exception, whoever raised it: a broker's malformed packet, a failed reconnect inside a
handler. So the thread is ours: whatever happens ends the connection at most, and the next one is made.
"""

import logging
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_detector.edges.pulse import Pulse

LOG = logging.getLogger(__name__)

CONNECT_SECONDS = 180.0
"""A look-up that waits for several name servers, and addresses that are tried one after the other."""
TURN_SECONDS = 1.0
_OLD_CONNACK_BYTES = 2


class Client(paho.Client):
    """What it reads is bounded, and one packet that cannot be read is left out instead of ending the connection.

    Args:
        client_id: ours.
        version: of the protocol.
        longest_packet: bytes; a broker that sends more is cut off before it is read.
        reconnects: whether paho's own thread, where it is started, connects again.

    Attributes:
        acknowledged: called at each PUBACK.
        answered: called at each PINGRESP.
        connack_code: of the CONNACK that was not taken; None if there was none.
        unreadable: what was wrong with the last packet that could not be read.
        unreadable_packets: how many there were.

    """

    def __init__(self, client_id: str, version: MQTTProtocolVersion, longest_packet: int, *, reconnects: bool = False) -> None:
        # Without reconnect_on_failure it does not try MQTT 3.1 by itself where 3.1.1 is refused, inside its own handler.
        super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=reconnects)
        self._longest_packet = longest_packet
        self.acknowledged: Callable[[], None] = lambda: None
        self.answered: Callable[[], None] = lambda: None
        self.connack_code: int | None = None
        self.unreadable: str | None = None
        self.unreadable_packets = 0
        # With this hook nobody but the network thread writes to the socket.
        self.on_socket_register_write = lambda *_: None

    def forget_answer(self) -> None:
        """Before a new connection."""
        self.connack_code = self.unreadable = None

    def ping(self) -> bool:
        """Ask for a PINGRESP, which comes once the broker has read what was sent before. False where that is not possible."""
        return self.keepalive > 0 and self._send_pingreq() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self._longest_packet:
            self.unreadable = f"a packet of {bufsize} bytes, and no more than {self._longest_packet} are read"
            raise ConnectionAbortedError(self.unreadable)
        return super()._sock_recv(bufsize)

    def _handle_connack(self) -> MQTTErrorCode:
        packet = bytes(self._in_packet["packet"])
        if len(packet) >= _OLD_CONNACK_BYTES and packet[1]:
            self.connack_code = packet[1]
        try:
            return super()._handle_connack()
        except MQTTException as error:
            self.unreadable = str(error)
            raise

    def _handle_publish(self) -> MQTTErrorCode:
        try:
            return super()._handle_publish()
        except MQTTException as error:
            self._leave_out(str(error))
            return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, cmd: str) -> MQTTErrorCode:
        packet = bytes(self._in_packet["packet"])
        try:
            done = super()._handle_pubackcomp(cmd)  # type: ignore[arg-type]
        except MQTTException as error:
            # mosquitto says "packet too large" here, for which MQTT 5 has no room: a refusal all the same.
            if len(packet) <= _OLD_CONNACK_BYTES:
                raise
            self._leave_out(str(error))
            return self._refuse(int.from_bytes(packet[:2], "big"), packet[2])
        self.acknowledged()
        return done

    def _refuse(self, mid: int, code: int) -> MQTTErrorCode:
        try:
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code)
        except KeyError:
            reason = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
        with self._out_message_mutex:
            if mid in self._out_messages:
                self._do_on_publish(mid, reason, Properties(PacketTypes.PUBACK))  # type: ignore[no-untyped-call]
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pingresp(self) -> MQTTErrorCode:
        done = super()._handle_pingresp()
        self.answered()
        return done

    def _leave_out(self, problem: str) -> None:
        self.unreadable_packets += 1
        if self.unreadable_packets.bit_count() == 1:  # at 1, 2, 4, 8…
            LOG.warning("the broker sent %d packets that cannot be read, the last one: %s", self.unreadable_packets, problem)


class Network:
    """The thread that connects, reads and writes, for ever.

    Args:
        client: its host and port are set.
        pulse: beaten at each turn.
        failed: called with what a connect failed of.
        broken: called with an exception that ended a connection.
        wait_seconds: asked after each connection for how long to wait.

    """

    def __init__(
        self,
        client: Client,
        pulse: Pulse,
        *,
        failed: Callable[[Exception], None],
        broken: Callable[[Exception], None],
        wait_seconds: Callable[[], float],
    ) -> None:
        self._client = client
        self._pulse = pulse
        self._failed = failed
        self._broken = broken
        self._wait_seconds = wait_seconds
        self._stopping = threading.Event()
        self._cut = threading.Event()
        self._stop_by_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="mqtt-network", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to connect."""
        self._pulse.beat("start")
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Disconnect. A look-up or a connect that hangs is left behind after the timeout, and ends with the process."""
        self._stop_by_seconds = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._client.disconnect()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def cut(self) -> None:
        """End this connection; the next one is made."""
        self._cut.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._pulse.beat("connect", CONNECT_SECONDS)
            try:
                self._client.reconnect()
            except Exception as error:  # noqa: BLE001 - whatever it fails of is said, and it is tried again
                self._failed(error)
            else:
                self._serve()
            self._hang_up()
            self._wait(self._wait_seconds())
        self._pulse.end()

    def _serve(self) -> None:
        try:
            while self._client.loop(TURN_SECONDS) == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._pulse.beat("exchange with the broker")
                if self._cut.is_set() or (self._stopping.is_set() and time.monotonic() >= self._stop_by_seconds):
                    break
        except Exception as error:  # noqa: BLE001 - whatever a packet leads to ends its connection, never this thread
            LOG.error("the connection to the broker was ended (%s: %s); it is made again", type(error).__name__, error)  # noqa: TRY400 - a sentence is for people
            self._broken(error)
        if self._cut.is_set():
            self._cut.clear()
            self._broken(ConnectionAbortedError("nothing was acknowledged"))

    def _hang_up(self) -> None:
        # paho forgets a socket whose exchange failed half-way, and a closed one it closes again without harm.
        socket = self._client.socket()
        if socket is not None:
            socket.close()

    def _wait(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := ends_at - time.monotonic()) > 0:
            self._pulse.beat("pause before the next attempt")
            self._stopping.wait(min(left, TURN_SECONDS))
