"""MQTT client on top of paho, with workarounds for paho's behaviour.

paho's own thread ends at the first exception, such as a malformed packet of the broker or a failed reconnect inside a handler.
This module runs its own thread: an exception ends only the connection, and the next one is made.

Deliveries are decided by PUBACK's reason code (`on_publish`), since MQTTMessageInfo reports a refused message as published.
On a reconnect paho would resend unacknowledged messages after `on_connect`, so that an old retained state could overwrite a newer
one. They are dropped instead, and the publisher sends them again.
"""

import logging
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_detector.backoff import Backoff
from edge_detector.errors import BrokerError
from edge_detector.heartbeat import Heartbeat
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.inbox import Acknowledged, Answered, Connected, Disconnected, Notice, SubscriptionRefused
from edge_detector.mqtt.outbox import IN_FLIGHT
from edge_detector.mqtt.refusals import TAKEN_OVER, TRANSIENT, lost, no_answer, refused, taken_over
from edge_detector.mqtt.troubles import OVERLONG
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

RECONNECT_SECONDS = (1.0, 30.0)
CONTEST_SECONDS = (15.0, 300.0)
"""Reconnect delays while another client has the same id, since each connect ends the other's connection."""
CONTESTED_SECONDS = 600.0
SUBSCRIBE_SECONDS = 10.0
LONGEST_PACKET_BYTES = 64 << 10
"""Limit of received packets: commands have a few bytes, but their topics may receive megabytes."""
LONGEST_HEARD_BYTES = 1 << 20
MOST_OVERLONG = 3
"""Connections ended by a too large packet, as under MQTT 3.1.1, after which nothing is subscribed to."""
CONNECT_SECONDS = 180.0
"""Deadline of a connect: a look-up may query several name servers, and addresses are tried in turn."""
TURN_SECONDS = 1.0
_OLD_CONNACK_BYTES = 2
_PUBACK_WITH_REASON_BYTES = 3
CALLBACKS = ("on_pre_connect", "on_connect", "on_disconnect", "on_publish", "on_subscribe", "on_message")
Explain: TypeAlias = Callable[[Exception, str], str]


def explain_connect_error(error: Exception, address: str) -> str:
    """Return a sentence for an error of a connect to `address`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return f"the certificate of the broker {address} cannot be trusted ({reason}); check ca_file and the host's name"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection to the broker {address} ({error.reason}); check port, certificates and keys"
    return f"no broker answers at {address}: {error}"


class Client(paho.Client):
    """paho's client with a limit on received packets; a malformed PUBLISH or PUBACK is skipped.

    Args:
        client_id: client id.
        version: protocol version.
        longest_packet: limit in bytes; a longer packet ends the connection before it is read.
        reconnects: whether paho's own thread, if it is started, reconnects.

    Attributes:
        acknowledged: called at each PUBACK.
        answered: called at each PINGRESP.
        connack_code: code of a CONNACK that refuses the connection; None if there was none.
        unreadable: problem of the last malformed packet.
        unreadable_packets: count of malformed packets.

    """

    def __init__(self, client_id: str, version: MQTTProtocolVersion, longest_packet: int, *, reconnects: bool = False) -> None:
        # Without reconnect_on_failure paho does not retry a refused 3.1.1 with MQTT 3.1 inside its own handler.
        super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=reconnects)
        self._longest_packet = longest_packet
        self.acknowledged: Callable[[], None] = lambda: None
        self.answered: Callable[[], None] = lambda: None
        self.connack_code: int | None = None
        self.unreadable: str | None = None
        self.unreadable_packets = 0
        # With this hook only the network thread writes to the socket.
        self.on_socket_register_write = lambda *_: None

    def forget_answer(self) -> None:
        """Reset the results of the last connection."""
        self.connack_code = self.unreadable = None

    def ping(self) -> bool:
        """Send a PINGREQ; the broker answers once it has read everything sent before. False if that is not possible."""
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
            # mosquitto answers "packet too large", which MQTT 5 does not define for PUBACK. It counts as a refusal.
            # With any other length the stream is out of step, and later packets cannot be trusted.
            if len(packet) != _PUBACK_WITH_REASON_BYTES:
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
    """Network thread: connects, reads and writes until it is stopped.

    Args:
        client: client with host and port set.
        heartbeat: renewed at each turn.
        failed: called with the error of a failed connect.
        broken: called with the exception that ended a connection.
        wait_seconds: returns the delay before the next attempt.

    """

    def __init__(
        self,
        client: Client,
        heartbeat: Heartbeat,
        *,
        failed: Callable[[Exception], None],
        broken: Callable[[Exception], None],
        wait_seconds: Callable[[], float],
    ) -> None:
        self._client = client
        self._heartbeat = heartbeat
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
        """Start the thread."""
        self._heartbeat.beat("start")
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Disconnect. After the timeout, a hanging look-up or connect is abandoned and ends with the process."""
        self._stop_by_seconds = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._client.disconnect()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def cut(self) -> None:
        """End this connection and make the next one."""
        self._cut.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._heartbeat.beat("connect", CONNECT_SECONDS)
            try:
                self._client.reconnect()
            except Exception as error:  # noqa: BLE001 - every error is logged, and the connect is tried again
                self._failed(error)
            else:
                self._serve()
            self._hang_up()
            self._wait(self._wait_seconds())
        self._heartbeat.end()

    def _serve(self) -> None:
        try:
            while self._client.loop(TURN_SECONDS) == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._heartbeat.beat("exchange with the broker")
                if self._cut.is_set() or (self._stopping.is_set() and time.monotonic() >= self._stop_by_seconds):
                    break
        except Exception as error:  # noqa: BLE001 - an error ends its connection, never this thread
            LOG.error("the connection to the broker was ended (%s: %s); it is made again", type(error).__name__, error)  # noqa: TRY400 - a sentence is for people
            self._broken(error)
        if self._cut.is_set():
            self._cut.clear()
            self._broken(ConnectionAbortedError("nothing was acknowledged"))

    def _hang_up(self) -> None:
        # paho does not close a socket after a failed exchange; closing twice does no harm.
        socket = self._client.socket()
        if socket is not None:
            socket.close()

    def _wait(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while not self._stopping.is_set() and (left := ends_at - time.monotonic()) > 0:
            self._heartbeat.beat("pause before the next attempt")
            self._stopping.wait(min(left, TURN_SECONDS))


def _client(broker: Broker, longest_packet: int, *, reconnects: bool = False) -> Client:
    version = MQTTProtocolVersion.MQTTv5 if broker.protocol == "5" else MQTTProtocolVersion.MQTTv311
    client = Client(broker.client_id, version, longest_packet, reconnects=reconnects)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)
    return client


def _connect_properties(broker: Broker, longest_packet: int) -> Properties | None:
    if broker.protocol != "5":
        return None
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = longest_packet
    return properties


def _check_host(broker: Broker) -> None:
    try:
        broker.host.encode("idna")
    except UnicodeError as error:  # a connect would count it as one more failed attempt
        raise BrokerError(f"{broker.host!r} cannot be the name of a broker: {error}") from error


def _received(got: paho.MQTTMessage) -> Message | None:
    """Convert a message; None if its topic is not UTF-8."""
    try:
        return Message(got.topic, bytes(got.payload), 1 if got.qos else 0, got.retain)
    except UnicodeDecodeError:
        return None


def packet_bytes(message: Message) -> int:
    """Return the packet size of a message in bytes, for MQTT 5; under 3.1.1 it is one byte less."""
    body = 2 + len(message.topic.encode()) + (2 if message.qos else 0) + 1 + len(message.payload)
    length_bytes = 1
    while body >= 128**length_bytes:
        length_bytes += 1
    return 1 + length_bytes + body


class Connection:
    """Connection that is renewed until it is stopped. `notice` and `receive` run on its thread and must return at once.

    paho calls `on_publish` under a lock that its `publish` also takes, so `notice` must not take a lock that is held around
    `publish`.

    Raises BrokerError if the broker's name is not a valid host name.

    Attributes:
        last_error: reason why there is no connection, as a sentence; None while there is one, or before the first failure.
        last_loss: reason for the end of the last connection, as a sentence; stays after a reconnect.
        retry_seconds: delay before the next attempt, randomised so that a fleet does not reconnect at once.
        patient: if true, an acknowledgement does not reset the delays, since connections end repeatedly.

    """

    def __init__(
        self,
        broker: Broker,
        last_will: Message,
        notice: Callable[[Notice], None],
        receive: Callable[[Message], None],
        explain: Explain | None = None,
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        _check_host(broker)
        self._broker = broker
        self._notice = notice
        self._receive = receive
        self._explain = explain or explain_connect_error
        self._accepted = False
        self._open = self._refused = self._took_any = False
        self._said: str | None = None
        self._asked: deque[Sequence[str]] = deque()
        self._overlong = 0
        self.last_error: str | None = None
        self.last_loss: str | None = None
        self.patient = False
        self._contested_until_seconds = self._taken_over_until_seconds = 0.0
        self._client = _client(broker, LONGEST_PACKET_BYTES)
        self._backoff = Backoff(*RECONNECT_SECONDS, dice)
        self._contest = Backoff(*CONTEST_SECONDS, dice)
        self._unread_messages = 0
        self.retry_seconds = 0.0
        self.heartbeat = Heartbeat("network")
        self._network = Network(
            self._client,
            self.heartbeat,
            failed=self._fail_to_connect,
            broken=self._break,
            wait_seconds=lambda: self.retry_seconds,
        )
        self._client.will_set(last_will.topic, last_will.payload, last_will.qos, last_will.retained)
        self._client.acknowledged = self._on_acknowledged
        self._client.answered = lambda: self._notice(Answered())
        for callback in CALLBACKS:
            setattr(self._client, callback, getattr(self, f"_{callback}"))

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._network.is_alive

    @property
    def address(self) -> str:
        """Address of the broker, for messages."""
        return self._broker.address

    @property
    def takeover(self) -> str | None:
        """A sentence if another client with this client id took over a connection in the last ten minutes, else None."""
        return taken_over(self._broker) if time.monotonic() < self._taken_over_until_seconds else None

    @property
    def _contested(self) -> bool:
        return time.monotonic() < self._contested_until_seconds

    def contest(self) -> None:
        """Lengthen the delays for ten minutes, since another client has the same id or node name."""
        self._contested_until_seconds = time.monotonic() + CONTESTED_SECONDS

    def start(self) -> None:
        """Start to connect, in the background."""
        broker = self._broker
        properties = _connect_properties(broker, LONGEST_PACKET_BYTES)
        self._client.connect_async(broker.host, broker.port, broker.keepalive_seconds, properties=properties)
        self._network.start()

    def stop(self, timeout_seconds: float) -> None:
        """Disconnect. After the timeout, a hanging look-up or connect is abandoned and ends with the process."""
        self._network.stop(timeout_seconds)
        # Break reference cycles, so that the sockets are closed at once.
        for callback in CALLBACKS:
            setattr(self._client, callback, None)
        self._client.acknowledged = self._client.answered = lambda: None

    def cut(self) -> None:
        """End this connection and make the next one."""
        self._network.cut()

    def ping(self) -> bool:
        """Send a ping; an `Answered` follows once the broker has read everything sent before. False if that is not possible."""
        return self._accepted and self._client.ping()

    def publish(self, message: Message) -> int | None:
        """Send; returns the number of the later `Acknowledged` for QoS 1, None without a connection. Raises ValueError."""
        if not self._accepted:
            return None
        info = self._client.publish(message.topic, message.payload, message.qos, message.retained)
        return info.mid if message.qos and info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN) else None

    def subscribe(self, filters: Sequence[str], *, qos: int = 1, retained: bool = False) -> None:
        """Subscribe to these topic filters; call it on every connect.

        Retained messages are received only if `retained` is true; under MQTT 3.1.1 always.
        """
        if not filters:
            return
        if self._overlong >= MOST_OVERLONG:
            for each in filters:
                self._notice(SubscriptionRefused(each, OVERLONG))
            return
        self._asked.append(filters)  # before the call, since the answer may arrive before it returns
        if self._broker.protocol == "5":
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
            options = SubscribeOptions(qos=qos, retainHandling=handling)
            self._client.subscribe([(each, options) for each in filters])
        else:
            self._client.subscribe([(each, qos) for each in filters])

    def _fail(self, sentence: str) -> None:
        if sentence != self._said:  # once for each reason, so that a long outage does not flood the log
            LOG.warning("%s; trying again", sentence)
        self._said = self.last_error = self.last_loss = sentence

    def _put_off(self) -> None:
        self.retry_seconds = max(self._backoff.next_seconds(), self._contest.next_seconds() if self._contested else 0.0)

    def _on_pre_connect(self, client: paho.Client, _data: object) -> None:
        client.drop_out_messages()
        self._client.forget_answer()
        self._asked.clear()
        self._open, self._refused = True, False

    def _on_connect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, more: object) -> None:  # noqa: ANN401 - paho's ReasonCode is untyped
        if reason.is_failure:
            self._refused = True
            self._fail(refused(self._broker, reason.value, reason, _reference(more)))
            return
        self.last_error = None
        self._accepted, self._took_any = True, False
        # A broker may allow fewer messages in flight, and disconnects clients that send more; paho ignores its limit.
        window = max(1, min(IN_FLIGHT, getattr(more, "ReceiveMaximum", IN_FLIGHT)))
        self._notice(Connected(window, getattr(more, "MaximumPacketSize", None)))

    def _fail_to_connect(self, problem: Exception) -> None:
        self._put_off()
        self._fail(self._explain(problem, self._broker.address))

    def _on_disconnect(self, _client: paho.Client, _data: object, flags: Any, reason: Any, more: object) -> None:  # noqa: ANN401 - as above
        said = flags.is_disconnect_packet_from_server
        if said and reason.value == TAKEN_OVER:
            self.contest()
            self._taken_over_until_seconds = self._contested_until_seconds
        self._end(
            lost(self._broker, reason.value if said else 0, self._client.unreadable or reason, _reference(more))
            if reason.is_failure
            else None
        )

    def _break(self, error: Exception) -> None:
        """End a connection after an error on the network thread."""
        if self._open:
            self._client.unreadable = str(error)
            self._end(lost(self._broker, 0, error))

    def _end(self, sentence: str | None) -> None:
        self._open = False
        accepted, self._accepted = self._accepted, False
        self._put_off()
        if accepted and self._client.unreadable is not None and "no more than" in self._client.unreadable:
            self._overlong += 1
        if accepted and sentence is not None:
            self._fail(sentence)
        elif not accepted and sentence is not None and not self._refused:
            self._fail(
                no_answer(self._broker, self._client.connack_code, self._client.unreadable, silent="Keep alive" in sentence)
            )
        self._notice(Disconnected())

    def _on_acknowledged(self) -> None:
        if not self._took_any:
            self._took_any = True
            self._said = self._said if self.patient else None
            LOG.info("connected to the broker %s", self._broker.address)
        # Not at CONNACK: a broker that accepts and then disconnects would be retried every second.
        if not self.patient and not self._contested:
            self._backoff.reset()
            self._contest.reset()

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        self._notice(Acknowledged(mid, str(reason) if reason.is_failure else None, is_transient=reason.value in TRANSIENT))

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        for topic_filter, reason in zip(self._asked.popleft() if self._asked else (), reasons, strict=False):
            if reason.is_failure:
                self._notice(SubscriptionRefused(topic_filter, str(reason)))

    def _on_message(self, _client: paho.Client, _data: object, got: paho.MQTTMessage) -> None:
        message = _received(got)
        if message is not None:
            self._receive(message)
            return
        self._unread_messages += 1
        if self._unread_messages.bit_count() == 1:  # at 1, 2, 4, 8…
            LOG.warning("%d messages on topics that are not UTF-8 were ignored", self._unread_messages)


def _reference(properties: object) -> str:
    return str(getattr(properties, "ServerReference", ""))


@contextmanager
def subscription(  # noqa: C901 - paho's callbacks, one after the other
    broker: Broker, topic_filter: str, receive: Callable[[Message], None], explain: Explain = explain_connect_error
) -> Iterator[None]:
    """Call `receive` on paho's thread for each message under `topic_filter` while the block runs. Raises BrokerError."""
    _check_host(broker)
    client = _client(broker, LONGEST_HEARD_BYTES, reconnects=True)
    answered = threading.Event()
    refusals: list[str] = []

    def on_connect(_client: paho.Client, _data: object, _flags: object, reason: Any, more: object) -> None:  # noqa: ANN401 - as above
        if reason.is_failure:
            refusals.append(refused(broker, reason.value, reason, _reference(more)))
            answered.set()
        client.subscribe(topic_filter, qos=1)

    def on_disconnect(_client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        if reason.is_failure and not answered.is_set():
            refusals.append(no_answer(broker, client.connack_code, client.unreadable, silent="Keep alive" in str(reason)))
            answered.set()

    def on_subscribe(_client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        if any(reason.is_failure for reason in reasons):
            refusals.append(f"the broker {broker.address} does not deliver {topic_filter}; check its access rules")
        answered.set()

    def on_message(_client: paho.Client, _data: object, got: paho.MQTTMessage) -> None:
        message = _received(got)
        if message is not None:
            receive(message)

    client.on_connect, client.on_subscribe, client.on_disconnect = on_connect, on_subscribe, on_disconnect
    client.on_message = on_message
    try:
        client.connect(
            broker.host, broker.port, broker.keepalive_seconds, properties=_connect_properties(broker, LONGEST_HEARD_BYTES)
        )
    except OSError as error:
        raise BrokerError(explain(error, broker.address)) from error
    client.loop_start()
    try:
        if not answered.wait(SUBSCRIBE_SECONDS):
            raise BrokerError(f"the broker {broker.address} did not answer within {SUBSCRIBE_SECONDS:g} s; is it an MQTT broker?")
        if refusals:
            raise BrokerError(refusals[0])
        yield
    finally:
        client.disconnect()
        client.loop_stop()
