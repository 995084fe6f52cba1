"""paho's client, with what is surprising about it kept inside this file.

paho's own thread ends at the first exception, whoever raised it: a broker's malformed packet, a failed reconnect inside a
handler. So the thread is ours: whatever happens ends the connection at most, and the next one is made.

A delivery is decided on PUBACK's reason code (`on_publish`), never on MQTTMessageInfo, which calls a refused message published.
On every reconnect paho would send again, by itself and after `on_connect`, what was not acknowledged: a retained state could so
arrive after the newer one. So it is made to forget, and whoever published sends again.
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
from edge_detector.mqtt.refusals import TAKEN_OVER, TRANSIENT, lost, no_answer, refused
from edge_detector.mqtt.troubles import OVERLONG
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

RECONNECT_SECONDS = (1.0, 30.0)
CONTEST_SECONDS = (15.0, 300.0)
"""How long to stay away where another client has our id: two that throw each other out would do nothing else."""
CONTESTED_SECONDS = 600.0
SUBSCRIBE_SECONDS = 10.0
LONGEST_PACKET_BYTES = 64 << 10
"""What the broker may send us: commands have a few bytes, and whoever may publish on their topics may publish megabytes."""
LONGEST_HEARD_BYTES = 1 << 20
MOST_OVERLONG = 3
"""So many connections ended at a packet that was too large, as under MQTT 3.1.1 they do: then nothing is subscribed to."""
CONNECT_SECONDS = 180.0
"""A look-up that waits for several name servers, and addresses that are tried one after the other."""
TURN_SECONDS = 1.0
_OLD_CONNACK_BYTES = 2
_PUBACK_WITH_REASON_BYTES = 3
CALLBACKS = ("on_pre_connect", "on_connect", "on_disconnect", "on_publish", "on_subscribe", "on_message")
Explain: TypeAlias = Callable[[Exception, str], str]


def explain_connect_error(error: Exception, address: str) -> str:
    """A sentence for what went wrong while connecting to `address`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return f"the certificate of the broker {address} cannot be trusted ({reason}); check ca_file and the host's name"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection to the broker {address} ({error.reason}); check port, certificates and keys"
    return f"no broker answers at {address}: {error}"


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
            # mosquitto answers "packet too large", a reason that PUBACK does not have in MQTT 5. It is a refusal all the same.
            # Any other length means that the stream is out of step: what follows cannot be trusted either.
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
    """The thread that connects, reads and writes, for ever.

    Args:
        client: its host and port are set.
        heartbeat: beaten at each turn.
        failed: called with what a connect failed of.
        broken: called with an exception that ended a connection.
        wait_seconds: asked after each connection for how long to wait.

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
        """Begin to connect."""
        self._heartbeat.beat("start")
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
            self._heartbeat.beat("connect", CONNECT_SECONDS)
            try:
                self._client.reconnect()
            except Exception as error:  # noqa: BLE001 - whatever it fails of is said, and it is tried again
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
    except UnicodeError as error:  # met while connecting it would be no more than one more failed attempt
        raise BrokerError(f"{broker.host!r} cannot be the name of a broker: {error}") from error


def _received(got: paho.MQTTMessage) -> Message | None:
    """The message; None where its topic is no UTF-8, and so none of ours."""
    try:
        return Message(got.topic, bytes(got.payload), 1 if got.qos else 0, got.retain)
    except UnicodeDecodeError:
        return None


def packet_bytes(message: Message) -> int:
    """What a message takes on the wire, in bytes: at most, since MQTT 5 has one for properties that 3.1.1 has not."""
    body = 2 + len(message.topic.encode()) + (2 if message.qos else 0) + 1 + len(message.payload)
    length_bytes = 1
    while body >= 128**length_bytes:
        length_bytes += 1
    return 1 + length_bytes + body


class Connection:
    """A connection that is made again for ever. `notice` and `receive` are called on its thread and must return at once.

    paho calls `on_publish` under a lock that its `publish` also takes, so `notice` must not take one that is held around
    `publish`.

    Raises BrokerError if the broker's name cannot be one.

    Attributes:
        last_error: why there is no connection, in a sentence; None while there is one, or before the first attempt has failed.
        last_loss: why the last connection ended, in a sentence; stays while there is one again.
        retry_seconds: how long after the last failure the next attempt follows; a fleet is not to come back all at once.
        patient: an acknowledgement does not shorten the delays, since the connection is cut again and again.

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
        self._contested_until_seconds = 0.0
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
        """Of the broker, for sentences."""
        return self._broker.address

    @property
    def _contested(self) -> bool:
        return time.monotonic() < self._contested_until_seconds

    def contest(self) -> None:
        """Another client has our id, or our name: for a while, delays are longer."""
        self._contested_until_seconds = time.monotonic() + CONTESTED_SECONDS

    def start(self) -> None:
        """Begin to connect, in the background."""
        broker = self._broker
        properties = _connect_properties(broker, LONGEST_PACKET_BYTES)
        self._client.connect_async(broker.host, broker.port, broker.keepalive_seconds, properties=properties)
        self._network.start()

    def stop(self, timeout_seconds: float) -> None:
        """Disconnect. A look-up or a connect that hangs is left behind after the timeout, and ends with the process."""
        self._network.stop(timeout_seconds)
        # It must not keep us alive, nor we it: its sockets are closed as soon as nobody needs it.
        for callback in CALLBACKS:
            setattr(self._client, callback, None)
        self._client.acknowledged = self._client.answered = lambda: None

    def cut(self) -> None:
        """End this connection and make another."""
        self._network.cut()

    def ping(self) -> bool:
        """Ask for an `Answered`, which follows once the broker has read all that was sent before. False: it cannot be asked."""
        return self._accepted and self._client.ping()

    def publish(self, message: Message) -> int | None:
        """Send; for QoS 1 the number that an `Acknowledged` will name, None if there is no connection. Raises ValueError."""
        if not self._accepted:
            return None
        info = self._client.publish(message.topic, message.payload, message.qos, message.retained)
        return info.mid if message.qos and info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN) else None

    def subscribe(self, filters: Sequence[str], *, qos: int = 1, retained: bool = False) -> None:
        """Ask for all messages under these topic filters; to be repeated on every connect.

        What the broker has retained there comes only if asked for; under MQTT 3.1.1 it always comes.
        """
        if not filters:
            return
        if self._overlong >= MOST_OVERLONG:
            for each in filters:
                self._notice(SubscriptionRefused(each, OVERLONG))
            return
        self._asked.append(filters)  # before: the answer may be here before the call is back
        if self._broker.protocol == "5":
            handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
            options = SubscribeOptions(qos=qos, retainHandling=handling)
            self._client.subscribe([(each, options) for each in filters])
        else:
            self._client.subscribe([(each, qos) for each in filters])

    def _fail(self, sentence: str) -> None:
        if sentence != self._said:  # once per reason: an outage of days does not flood the log
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
        # A broker may allow less than we would send, and cuts off whoever sends more; paho pays no heed to it.
        window = max(1, min(IN_FLIGHT, getattr(more, "ReceiveMaximum", IN_FLIGHT)))
        self._notice(Connected(window, getattr(more, "MaximumPacketSize", None)))

    def _fail_to_connect(self, problem: Exception) -> None:
        self._put_off()
        self._fail(self._explain(problem, self._broker.address))

    def _on_disconnect(self, _client: paho.Client, _data: object, flags: Any, reason: Any, more: object) -> None:  # noqa: ANN401 - as above
        said = flags.is_disconnect_packet_from_server
        if said and reason.value == TAKEN_OVER:
            self.contest()
        self._end(
            lost(self._broker, reason.value if said else 0, self._client.unreadable or reason, _reference(more))
            if reason.is_failure
            else None
        )

    def _break(self, error: Exception) -> None:
        """What the network thread itself has ended."""
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
        # Not CONNACK: a broker that lets us in and hangs up would be asked every second for ever.
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
            LOG.warning("%d messages came on topics that are no UTF-8; they are left out", self._unread_messages)


def _reference(properties: object) -> str:
    return str(getattr(properties, "ServerReference", ""))


@contextmanager
def subscription(  # noqa: C901 - paho's callbacks, one after the other
    broker: Broker, topic_filter: str, receive: Callable[[Message], None], explain: Explain = explain_connect_error
) -> Iterator[None]:
    """Call `receive`, on paho's thread, for each message under `topic_filter` while the block runs. Raises BrokerError."""
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
            refusals.append(f"the broker {broker.address} will not send us {topic_filter}; check its access rules")
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
