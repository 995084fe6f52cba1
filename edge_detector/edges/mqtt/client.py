"""paho's client, with what is surprising about it kept inside this file.

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
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_detector.core.backoff import Backoff
from edge_detector.core.outgoing import IN_FLIGHT
from edge_detector.edges.mqtt.inbox import Acknowledged, Answered, Connected, Disconnected, Notice, Unheard
from edge_detector.edges.mqtt.network import Client, Network
from edge_detector.edges.mqtt.refusals import TAKEN_OVER, lost, no_answer, refused
from edge_detector.edges.pulse import Pulse
from edge_detector.errors import BrokerError
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
CALLBACKS = ("on_pre_connect", "on_connect", "on_disconnect", "on_publish", "on_subscribe", "on_message")
Explain: TypeAlias = Callable[[Exception, str], str]


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


def explain_connect_error(error: Exception, address: str) -> str:
    """A sentence for what went wrong while connecting to `address`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return f"the certificate of the broker {address} cannot be trusted ({reason}); check ca_file and the host's name"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection to the broker {address} ({error.reason}); check port, certificates and keys"
    return f"no broker answers at {address}: {error}"


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
        self.pulse = Pulse("network")
        self._network = Network(
            self._client, self.pulse, failed=self._fail_to_connect, broken=self._break, wait_seconds=lambda: self.retry_seconds
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
                self._notice(Unheard(each, "what is there is too large to be read"))
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
        self._notice(Acknowledged(mid, str(reason) if reason.is_failure else None))

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        for topic_filter, reason in zip(self._asked.popleft() if self._asked else (), reasons, strict=False):
            if reason.is_failure:
                self._notice(Unheard(topic_filter, str(reason)))

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
