"""paho's client, with what is surprising about it kept inside this file.

A delivery is decided on PUBACK's reason code (`on_publish`), never on MQTTMessageInfo, which calls a refused message published.
On every reconnect paho would send again, by itself and after `on_connect`, what was not acknowledged: a retained state could so
arrive after the newer one. So it is made to forget, and whoever published sends again.
"""

import logging
import random
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_detector.core.backoff import Backoff
from edge_detector.core.outgoing import IN_FLIGHT
from edge_detector.edges.mqtt.inbox import Acknowledged, Connected, Disconnected, Notice, Unheard
from edge_detector.errors import BrokerError
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

RECONNECT_SECONDS = (1.0, 30.0)
SUBSCRIBE_SECONDS = 10.0
LARGEST_PACKET_BYTES = 65_536
"""We ask brokers for no larger one: no command has 100 bytes, and a Pi has little memory. MQTT 3.1.1 cannot say so."""

CALLBACKS = ("on_pre_connect", "on_connect", "on_connect_fail", "on_disconnect", "on_publish", "on_subscribe", "on_message")
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


def _client(broker: Broker) -> paho.Client:
    version = MQTTProtocolVersion.MQTTv5 if broker.protocol == "5" else MQTTProtocolVersion.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=broker.client_id, protocol=version)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)
    return client


def _check_host(broker: Broker) -> None:
    try:
        broker.host.encode("idna")
    except UnicodeError as error:  # met while connecting it would end paho's thread without a word
        raise BrokerError(f"{broker.host!r} cannot be the name of a broker: {error}") from error


def _login_refused(broker: Broker, reason: object) -> str:
    return f"the broker {broker.address} refused us ({reason}); check user name and password"


def _received(got: paho.MQTTMessage) -> Message:
    return Message(got.topic, bytes(got.payload), 1 if got.qos else 0, got.retain)


class Connection:
    """A connection that is made again for ever. `notice` and `receive` are called on paho's thread and must return at once.

    paho calls `on_publish` under a lock that its `publish` also takes, so `notice` must not take one that is held around
    `publish`.

    Raises BrokerError if the broker's name cannot be one.

    Attributes:
        last_error: why there is no connection, in a sentence; None while there is one, or before the first attempt has failed.
        retry_seconds: how long after the last failure the next attempt follows; a fleet is not to come back all at once.

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
        self._unreadable = 0
        self._filters: Sequence[str] = ()
        self.last_error: str | None = None
        self._client = _client(broker)
        self._backoff = Backoff(*RECONNECT_SECONDS, dice)
        self.retry_seconds = 0.0
        self._client.will_set(last_will.topic, last_will.payload, last_will.qos, last_will.retained)
        for callback in CALLBACKS:
            setattr(self._client, callback, getattr(self, f"_{callback}"))

    def start(self) -> None:
        """Begin to connect, in the background."""
        properties = None
        if self._broker.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_PACKET_BYTES
        self._client.connect_async(self._broker.host, self._broker.port, self._broker.keepalive_seconds, properties=properties)
        self._client.loop_start()

    @property
    def alive(self) -> bool:
        """Whether paho's thread runs, which connects, sends and receives; it begins with `start`."""
        # paho tells it in no other way than by the name of its thread.
        return any(thread.name == f"paho-mqtt-client-{self._broker.client_id}" for thread in threading.enumerate())

    def stop(self, timeout_seconds: float) -> None:
        """Disconnect. A look-up or a connect that hangs is left behind after the timeout, and ends with the process."""
        self._client.disconnect()
        stopper = threading.Thread(target=self._client.loop_stop, name="mqtt-stop", daemon=True)
        stopper.start()
        stopper.join(timeout_seconds)
        # It must not keep us alive, nor we it: its sockets are closed as soon as nobody needs it.
        for callback in CALLBACKS:
            setattr(self._client, callback, None)

    def publish(self, message: Message) -> int | None:
        """Send; for QoS 1 the number that an `Acknowledged` will name, None if there is no connection. Raises ValueError."""
        if not self._accepted:
            return None
        info = self._client.publish(message.topic, message.payload, message.qos, message.retained)
        return info.mid if message.qos and info.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN) else None

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for all messages under these topic filters; to be repeated on every connect.

        With MQTT 5 for none that the broker has kept: one that cannot be read would end each new connection.
        """
        self._filters = filters
        if filters and self._broker.protocol == "5":
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            self._client.subscribe([(each, options) for each in filters])
        elif filters:
            self._client.subscribe([(each, 1) for each in filters])

    def _fail(self, sentence: str) -> None:
        if sentence != self.last_error:  # once per reason: an outage of days does not flood the log
            LOG.warning("%s; trying again", sentence)
        self.last_error = sentence

    def _put_off(self) -> None:
        self.retry_seconds = self._backoff.next_seconds()
        # With both bounds the same paho has no choice. It takes fractions, though its types do not say so.
        self._client.reconnect_delay_set(self.retry_seconds, self.retry_seconds)  # type: ignore[arg-type]

    def _on_pre_connect(self, client: paho.Client, _data: object) -> None:
        client.drop_out_messages()

    def _on_connect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, more: object) -> None:  # noqa: ANN401 - paho's ReasonCode is untyped
        if reason.is_failure:
            self._fail(_login_refused(self._broker, reason))
            return
        LOG.info("connected to the broker %s", self._broker.address)
        self.last_error = None
        self._backoff.reset()
        self._accepted = True
        # A broker may allow less than we would send, and cuts off whoever sends more; paho pays no heed to it.
        self._notice(Connected(min(IN_FLIGHT, getattr(more, "ReceiveMaximum", IN_FLIGHT))))

    def _on_connect_fail(self, _client: paho.Client, _data: object) -> None:
        error = sys.exception()  # paho hands it on in no other way
        problem = error if isinstance(error, Exception) else OSError("unknown error")
        self._put_off()
        self._fail(self._explain(problem, self._broker.address))

    def _on_disconnect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        accepted, self._accepted = self._accepted, False
        self._put_off()
        if accepted and reason.is_failure:
            self._fail(f"lost the broker {self._broker.address} ({reason})")
        elif self.last_error is None and reason.is_failure:
            self._fail(f"the broker {self._broker.address} hung up before it answered; does it want TLS or a client certificate?")
        self._notice(Disconnected())

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        self._notice(Acknowledged(mid, str(reason) if reason.is_failure else None))

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        for topic_filter, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self._notice(Unheard(topic_filter, str(reason)))

    def _on_message(self, _client: paho.Client, _data: object, got: paho.MQTTMessage) -> None:
        try:
            message = _received(got)
        except UnicodeDecodeError as error:
            self._unreadable += 1
            if self._unreadable.bit_count() == 1:  # at 1, 2, 4, 8…: whoever floods us is not to fill the log
                LOG.warning("the broker sent a message whose topic is not UTF-8 (%s); %d so far", error, self._unreadable)
            return
        self._receive(message)


@contextmanager
def subscription(
    broker: Broker, topic_filter: str, receive: Callable[[Message], None], explain: Explain = explain_connect_error
) -> Iterator[None]:
    """Call `receive`, on paho's thread, for each message under `topic_filter` while the block runs. Raises BrokerError."""
    _check_host(broker)
    client = _client(broker)
    answered = threading.Event()
    refusals: list[str] = []

    def on_connect(_client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:  # noqa: ANN401 - as above
        if reason.is_failure:
            refusals.append(_login_refused(broker, reason))
            answered.set()
        client.subscribe(topic_filter, qos=1)

    def on_subscribe(_client: paho.Client, _data: object, _mid: int, reasons: list[Any], _more: object) -> None:
        if any(reason.is_failure for reason in reasons):
            refusals.append(f"the broker {broker.address} will not send us {topic_filter}; check its access rules")
        answered.set()

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_message = lambda _client, _data, got: receive(_received(got))
    try:
        client.connect(broker.host, broker.port, broker.keepalive_seconds)
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
