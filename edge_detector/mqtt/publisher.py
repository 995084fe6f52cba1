"""Publishes from any thread without making it wait: events through the outbox, states coalesced, the rest while it is fresh."""

import logging
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from edge_detector.heartbeat import Heartbeat
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import Connection, Explain, packet_bytes
from edge_detector.mqtt.flow_control import FlowControl
from edge_detector.mqtt.hang_ups import HangUpTracker
from edge_detector.mqtt.inbox import (
    Acknowledged,
    Answered,
    Close,
    Connected,
    Disconnected,
    Inbox,
    Item,
    Overwritten,
    Stored,
    SubscriptionRefused,
    is_event,
)
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.trouble_log import TroubleLog
from edge_detector.mqtt.troubles import HANGS_UP, TOO_LARGE
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

PENDING_EVENTS = 1_000
"""Events kept while the broker is away by a publisher without an outbox of its own."""
MAINTENANCE_SECONDS = 5.0
DISK_SECONDS = 1.0
"""How often the outbox is looked after while it waits for its disk, which may hang."""
STOP_SECONDS = 0.5
UNACKNOWLEDGED_SECONDS = 15.0
MAX_RETRIES, RETRY_SECONDS = 5, 10.0
"""An event that is refused for a reason that may pass is sent again, after 10, 20, … seconds."""
NO_ACKNOWLEDGEMENT_SECONDS = 60.0
"""A broker that has acknowledged nothing for so long is connected to anew."""
MANY_LOSSES, LOSSES_SECONDS = 5, 300.0
"""So many lost connections within so many seconds are a trouble."""
QOS0_DROPPED_SECONDS = 60.0
SUSPICION_SECONDS = 5.0
"""After so long on a connection nothing is suspected any more that nobody wants to publish."""
CORRECTION_SECONDS = 10.0
GREETING_SECONDS = 3.0
"""Where the other states take longer than this, the greeting waits for them no more."""


class Publisher:
    """Publishes from any thread and never makes it wait.

    Messages with QoS 1 that are not retained are events and go through the outbox: committed, then sent, and forgotten on a good
    acknowledgement. Of a retained topic the latest value is published on every connect. All else is sent at once or, while
    the broker is away, dropped and counted.

    All state belongs to one worker thread, which everybody reaches through its inbox, the connection's callbacks too: paho calls
    them under a lock that its `publish` also takes, so a lock of our own around both would be a deadlock.

    Args:
        broker: where to.
        last_will: retained message that the broker sends when this client is cut off.
        greeting: retained message published on every connect, once all other states are told: who then looks finds them true.
            On a slow link it goes before them.
        outbox: between `start` and `close` others only read its attributes; closed by its owner; None for one in memory.
        subscriptions: topic filters that are subscribed to on every connect.
        on_message: called for what comes in by them, on the connection's thread; must return at once and raise nothing.
        own_filters: topic filters of retained topics that are ours alone: what somebody else says there is put right.
        on_own: called, as `on_message`, for whatever comes in by them, our own messages among it.
        explain: makes a sentence of an error met while connecting, given the broker's address.

    Attributes:
        troubles: what is wrong between the broker and us, a sentence each. Replaced as a whole.

    """

    def __init__(
        self,
        broker: Broker,
        *,
        last_will: Message,
        greeting: Message,
        outbox: Outbox | None = None,
        subscriptions: Sequence[str] = (),
        on_message: Callable[[Message], None] | None = None,
        own_filters: Sequence[str] = (),
        on_own: Callable[[Message], None] | None = None,
        explain: Explain | None = None,
    ) -> None:
        self.outbox = Outbox(None, time.monotonic, max_messages=PENDING_EVENTS) if outbox is None else outbox
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message or (lambda _message: None)
        self._own_filters = tuple(own_filters)
        self._is_own = _pattern(self._own_filters).fullmatch
        self._received_messages = 0
        self._retries: dict[str, int] = {}
        self._events_resume_at_seconds = 0.0
        self._on_own = on_own or (lambda _message: None)
        self._inbox = Inbox()
        self.outbox.wake = lambda: self._inbox.put(Stored())
        self._greeting_topic = greeting.topic
        self._retained: dict[str, Message] = {greeting.topic: greeting}
        self._new_events: list[Message] = []
        self._delivered: list[str] = []
        self._refused: dict[str, str] = {}
        self._due: dict[str, Message] = {}
        self._in_flight: dict[int, Message] = {}
        self._online = threading.Event()
        self._connects = self._stale = self._refused_states = self._corrections = self._turns = 0
        self._flow_control = FlowControl(time.monotonic, lambda: self._received_messages)
        self._hang_ups = HangUpTracker()
        self._longest_packet: int | None = None
        self._suspended: list[Message] = []
        self._unconfirmed_qos0: dict[str, int] = {}
        self._given_up: dict[str, bytes] = {}
        self._overwritten: dict[str, None] = {}
        self._replaced: dict[str, tuple[bytes, float]] = {}
        self._corrected: dict[str, float] = {}
        self._losses: deque[float] = deque(maxlen=MANY_LOSSES)
        self._qos0_dropped_at_seconds: float | None = None
        self._online_at_seconds = 0.0
        self._heartbeat = Heartbeat("publisher")
        self.troubles: tuple[str, ...] = ()
        self._trouble_log = TroubleLog()
        self._closing: Close | None = None
        self._farewell_sent = False
        self._delivered_all = False
        self._worker = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._connection = Connection(broker, last_will, self._inbox.put, self._on_message_received, explain)

    @property
    def dropped_events(self) -> int:
        """Events that were dropped for want of room, or because of their age."""
        return self.outbox.dropped_messages + self._inbox.overflowed_events

    @property
    def dropped_messages(self) -> int:
        """All messages that were dropped, those that were stale while the broker was away among them."""
        return self.dropped_events + self._inbox.overflowed_rest + self._stale

    @property
    def refused_messages(self) -> int:
        """Messages that the broker would not take."""
        return self.outbox.refused_messages + self._refused_states

    @property
    def refused_topics(self) -> Mapping[str, str]:
        """What the broker would not take, or not send us, the last time it was asked, with its reasons."""
        return self._trouble_log.refused_topics

    @property
    def backlog(self) -> int:
        """Messages that wait for this publisher or for the broker."""
        return len(self._inbox) + self.outbox.depth

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return max(0, self._connects - 1)

    @property
    def last_error(self) -> str | None:
        """Why there is no connection, in a sentence; None while there is one."""
        return self._connection.last_error

    @property
    def alive(self) -> bool:
        """Whether both threads run; between `start` and `close` everything else is a bug."""
        return self._worker.is_alive() and self._connection.is_alive

    @property
    def hung(self) -> str | None:
        """Which thread makes no progress although it waits for nothing that could take so long, in a sentence."""
        return self._heartbeat.overdue or self._connection.heartbeat.overdue

    def contest(self) -> None:
        """Another client has our id, or our name: stay away for longer where the connection is lost."""
        self._connection.contest()

    @property
    def longest_packet(self) -> int | None:
        """What the broker takes, in bytes; None where it has named no limit."""
        return self._longest_packet

    def start(self) -> None:
        """Begin to connect, in the background; a broker that is not there yet is tried again for ever."""
        self._heartbeat.beat("start")
        self._worker.start()
        self._connection.start()

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Whether the broker has accepted us, waiting for it if need be."""
        return self._online.wait(timeout_seconds)

    def publish(self, message: Message) -> None:
        """Hand over one message. Returns at once; beyond the inbox's bound a message is dropped and counted."""
        if self._worker.ident is None:  # what is told before the start must not be dropped, and nobody works yet
            self._accept(message)
        else:
            self._inbox.offer(message)

    def has_published(self, topics: Iterable[str]) -> bool:
        """Whether the broker has answered for the latest of these retained topics."""
        if not self._online.is_set() or len(self._inbox):
            return False
        waiting = {*self._due.copy(), *(message.topic for message in list(self._in_flight.values()))}
        return waiting.isdisjoint(topics)

    def close(self, farewell: Message, timeout_seconds: float) -> bool:
        """Deliver what is waiting, say `farewell`, a retained message, disconnect. False if not all was acknowledged in time.

        What the outbox has on disk is then sent after the next start.
        """
        now = time.monotonic()
        self._inbox.put(Close(farewell, now + 0.75 * timeout_seconds, now + timeout_seconds))
        self._worker.join(timeout_seconds + STOP_SECONDS)
        self._connection.stop(STOP_SECONDS)
        return self._delivered_all

    def _work(self) -> None:
        try:
            while not self._finished:
                self._turn()
        except Exception as error:  # noqa: BLE001 - it is said, `alive` is False from now on, and the process is to be ended
            LOG.critical("the publisher has failed (%s: %s)", type(error).__name__, error)
        else:
            self._delivered_all = self._farewell_sent and self._is_idle and not self.outbox.depth
        self._heartbeat.end()

    def _turn(self) -> None:
        self._heartbeat.beat("wait for messages")
        for item in self._inbox.receive(self._wait_seconds):
            self._handle(item)
        self._heartbeat.beat("exchange with the broker")
        self._commit()
        self._correct_overwritten()
        self._send_farewell_in_time()
        self._send_pending()
        self.outbox.run_maintenance()
        self._trouble_log.log_changes(self.outbox.trouble, self.dropped_messages, self.dropped_events)
        self._poll_troubles()

    @property
    def _is_idle(self) -> bool:
        return self._online.is_set() and not self._due and not self._in_flight and not self._suspended and self._inbox.is_empty

    @property
    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return (self._farewell_sent and self._is_idle) or time.monotonic() >= self._closing.deadline_seconds

    @property
    def _wait_seconds(self) -> float:
        maintenance_seconds = DISK_SECONDS if self.outbox.is_waiting else MAINTENANCE_SECONDS
        if self._closing is None:
            return maintenance_seconds
        due_seconds = self._closing.deadline_seconds if self._farewell_sent else self._closing.farewell_by_seconds
        return min(maintenance_seconds, due_seconds - time.monotonic())

    def _handle(self, item: Item) -> None:
        match item:  # after `Stored`, too, the outbox is asked each turn
            case Message():
                self._accept(item)
            case Acknowledged():
                self._on_acknowledged_message(item)
            case Answered():
                self._flow_control.answered()
                self._unconfirmed_qos0.clear()
            case Overwritten(topic):
                self._overwritten.setdefault(topic, None)
            case SubscriptionRefused(topic_filter, refusal):
                if topic_filter not in self._own_filters:
                    self._trouble_log.refuse(topic_filter, refusal, "the broker will not send us")
            case Connected():
                self._on_connected(item)
            case Disconnected():
                self._end_connection()
            case Close():
                self._closing = item

    def _accept(self, message: Message) -> None:
        if is_event(message):
            self._new_events.append(message if message.message_id else replace(message, message_id=str(uuid.uuid4())))
        elif message.retained:
            if message.topic in self._retained:
                self._replaced[message.topic] = self._retained[message.topic].payload, time.monotonic()
            if not message.payload:
                # What ends a topic goes behind what was told before it, such as that the topic's entity is gone.
                self._retained.pop(message.topic, None)
                self._due.pop(message.topic, None)
            self._retained[message.topic] = self._due[message.topic] = message
        elif not self._online.is_set():
            self._stale += 1
        elif self._suspects(message):
            self._due[message.topic] = replace(message, qos=1)  # only so is it known whether the broker takes it
        elif self._flow_control.accepts_qos0:
            self._send(message)
        else:
            self._stale += 1
            self._qos0_dropped_at_seconds = time.monotonic()

    def _commit(self) -> None:
        if self._new_events or self._delivered or self._refused:
            self.outbox.commit(self._new_events, self._delivered, self._refused)
            self._new_events, self._delivered, self._refused = [], [], {}

    def _on_connected(self, connected: Connected) -> None:
        self._flow_control.reset(connected.window)
        self._hang_ups.reset()
        self._longest_packet = connected.longest_packet
        self._online.set()
        self._online_at_seconds = time.monotonic()
        self._connects += 1
        self._trouble_log.reset(self._retained)
        self._due = dict(self._retained)
        self._due[self._greeting_topic] = self._due.pop(self._greeting_topic)
        self._connection.subscribe(self._own_filters, qos=0, retained=True)
        self._connection.subscribe(self._subscriptions)

    def _end_connection(self) -> None:
        was_online = self._online.is_set()
        self._online.clear()
        self._commit()  # what was acknowledged before
        if was_online:
            self._suspect_unanswered()
        self._losses.append(time.monotonic())
        self._in_flight.clear()
        self._unconfirmed_qos0.clear()
        self._suspended.clear()
        self._flow_control.reset(0)
        self.outbox.release()

    def _suspect_unanswered(self) -> None:
        unanswered = {_key(message): packet_bytes(message) for message in self._in_flight.values()}
        by_key = {_key(message): message for message in self._in_flight.values()}
        unanswered.update({topic: size for topic, size in self._unconfirmed_qos0.items() if size > self._hang_ups.proven})
        events = [key for key, message in by_key.items() if message.message_id is not None]
        verdict = self._hang_ups.cut(unanswered, events)
        self._connection.patient = self._hang_ups.careful
        if verdict is not None and verdict.key in by_key:
            message = by_key[verdict.key]
            reason = HANGS_UP if verdict.limit is None else f"{TOO_LARGE}: it hangs up at {verdict.limit} bytes"
            self._given_up[message.topic] = message.payload
            self._refuse(message, reason)
            self._commit()

    def _send_pending(self) -> None:
        """Send what the broker has room for: events, states, of each topic only the latest, and the rest where that is little."""
        if not self._online.is_set():
            return
        self._send_status_in_time()
        if self._hang_ups.careful:
            self._send_one_at_a_time()
            return
        room = self._flow_control.window - len(self._in_flight)
        if room > 0:
            # Three events for each state: neither keeps the other waiting for ever.
            self._turns += 1
            for_states = max(room // 4, int(self._turns % 4 == 0)) if self._due else 0
            if not self._farewell_sent and room > for_states and time.monotonic() >= self._events_resume_at_seconds:
                for message in self.outbox.dequeue(room - for_states):
                    self._send(message)
                    room -= 1
        self._send_states(room)
        if self._flow_control.wants_ping and self._connection.ping():
            self._flow_control.pinged()

    def _send_status_in_time(self) -> None:
        """Neither greeting nor farewell waits for long behind the rest, nor for the window, only for the broker's own bound."""
        late = self._farewell_sent or time.monotonic() - self._online_at_seconds >= GREETING_SECONDS
        bound = 1 if self._hang_ups.careful and not self._farewell_sent else self._flow_control.most
        if late and self._greeting_topic in self._due and len(self._in_flight) < bound:
            self._send(self._due.pop(self._greeting_topic))

    def _send_states(self, room: int) -> None:
        chosen = []
        for message in self._due.values():
            if room <= 0:
                break
            if message.qos or self._flow_control.accepts_qos0:
                chosen.append(message)
                room -= message.qos
        for message in chosen:
            del self._due[message.topic]
            self._send(message)

    def _send_one_at_a_time(self) -> None:
        """One message at a time, so that it is known which one the broker hangs up at."""
        while not self._in_flight:
            if not self._hang_ups.has_suspects and not any(map(self._suspects, self._due.values())):
                self._hang_ups.clear()
                self._connection.patient = False
                self._send_pending()
                return
            message = self._next_alone()
            if message is None:
                if time.monotonic() - self._online_at_seconds > SUSPICION_SECONDS:
                    self._hang_ups.clear()
                    self._connection.patient = False
                return
            if not self._send(message if message.qos else replace(message, qos=1)):
                return  # the connection is gone, which the inbox will say: until then the same event would come again

    def _next_alone(self) -> Message | None:
        """Something small to see that the broker takes anything; events; states, small ones first; what was cut, at the end."""
        cut_alone = [message for message in self._due.values() if self._hang_ups.is_suspect(_key(message))]
        others = [message for message in self._due.values() if message not in cut_alone and message.topic != self._greeting_topic]
        smallest = min(others, key=packet_bytes, default=None)
        if self._hang_ups.any_acknowledged or smallest is None:
            event = self._next_event()
            if event is not None:
                return event
        if smallest is None:
            smallest = self._due.get(self._greeting_topic)
        if smallest is None:
            smallest = min([*self._suspended, *cut_alone], key=packet_bytes, default=None)
        if smallest is not None and smallest in self._suspended:
            self._suspended.remove(smallest)
        elif smallest is not None:
            del self._due[smallest.topic]
        return smallest

    def _next_event(self) -> Message | None:
        while not self._farewell_sent and (taken := self.outbox.dequeue(1)):
            if not self._hang_ups.is_suspect(_key(taken[0])):
                return taken[0]
            self._suspended.append(taken[0])
        return None

    def _suspects(self, message: Message) -> bool:
        return self._hang_ups.suspects(_key(message), packet_bytes(message))

    def _send(self, message: Message) -> bool:
        """Send or refuse a message. False where there is no connection to send it by."""
        problem = self._problem(message)
        if problem is not None:
            self._refuse(message, problem)
            return True
        try:
            mid = self._connection.publish(message)
        except ValueError as error:  # a topic or a size that MQTT does not know
            self._refuse(message, str(error))
            return True
        if mid is not None:
            self._in_flight[mid] = message
            self._flow_control.sent(mid)
        elif message.message_id is not None:
            self.outbox.release([message.message_id])
        elif not message.qos:
            self._unconfirmed_qos0[message.topic] = packet_bytes(message)
            self._flow_control.sent_qos0()
        return mid is not None or not message.qos

    def _problem(self, message: Message) -> str | None:
        """Why the broker would not take a message, as far as that is known before."""
        size = packet_bytes(message)
        if self._longest_packet is not None and size > self._longest_packet:
            return f"{TOO_LARGE}: it takes {self._longest_packet} bytes"
        if self._hang_ups.limit is not None and size >= self._hang_ups.limit:
            return f"{TOO_LARGE}: it hangs up at {self._hang_ups.limit} bytes"
        if message.message_id is None and self._given_up.get(message.topic) == message.payload:
            return HANGS_UP
        return None

    def _on_acknowledged_message(self, acknowledged: Acknowledged) -> None:
        message = self._in_flight.pop(acknowledged.mid, None)
        if message is None:
            return
        self._flow_control.acknowledged(acknowledged.mid)
        self._hang_ups.acknowledged(_key(message), 0 if acknowledged.refusal else packet_bytes(message))
        self._unconfirmed_qos0.clear()
        if acknowledged.refusal and acknowledged.is_transient and self._may_retry(message):
            return
        self._retries.pop(_key(message), None)
        if acknowledged.refusal:
            self._refuse(message, acknowledged.refusal)
            return
        self._trouble_log.accept(message.topic)
        if message.message_id is not None:
            self._delivered.append(message.message_id)

    def _may_retry(self, message: Message) -> bool:
        """Keep an event whose refusal may pass; events pause meanwhile. A state is sent again with its next value."""
        retries = self._retries.get(_key(message), 0) + 1
        if message.message_id is None or retries > MAX_RETRIES:
            return False
        self._retries[_key(message)] = retries
        self._events_resume_at_seconds = time.monotonic() + RETRY_SECONDS * retries
        self.outbox.release([message.message_id])
        return True

    def _refuse(self, message: Message, reason: str) -> None:
        self._trouble_log.refuse(message.topic, reason)
        self._hang_ups.forget(_key(message))
        if message.message_id is not None:
            self._refused[message.message_id] = reason
        else:
            self._refused_states += 1

    def _on_message_received(self, message: Message) -> None:
        """On the connection's thread: others' words go on; of what is ours only a value that is not ours is of interest."""
        self._received_messages += 1
        if not self._is_own(message.topic):
            self._on_message(message)
            return
        mine = self._retained.get(message.topic)
        if (
            mine is not None
            and not message.retained
            and mine.payload != message.payload
            and not self._is_echo(message)
            and message.topic not in self._overwritten
        ):
            self._inbox.put(Overwritten(message.topic))
        self._on_own(message)

    def _is_echo(self, message: Message) -> bool:
        """Whether this is the value that ours has just replaced, on its way back from the broker."""
        payload, replaced_at_seconds = self._replaced.get(message.topic, (None, 0.0))
        return payload == message.payload and time.monotonic() - replaced_at_seconds < CORRECTION_SECONDS

    def _correct_overwritten(self) -> None:
        """Publish again what somebody else has overwritten, seldom enough for two that correct each other."""
        now = time.monotonic()
        for topic in list(self._overwritten):
            mine = self._retained.get(topic)
            under_way = topic in self._due or any(message.topic == topic for message in self._in_flight.values())
            if mine is None or under_way or not self._online.is_set():
                del self._overwritten[topic]
            elif now - self._corrected.get(topic, -CORRECTION_SECONDS) >= CORRECTION_SECONDS:
                del self._overwritten[topic]
                self._corrected[topic] = now
                self._due[topic] = mine
                self._corrections += 1
                if self._corrections.bit_count() == 1:  # at 1, 2, 4, 8…
                    LOG.warning("somebody else has written to %s; it is put right (%d such so far)", topic, self._corrections)

    def _poll_troubles(self) -> None:
        now, address = time.monotonic(), self._connection.address
        found = []
        if self._online.is_set() and self._flow_control.unacknowledged_seconds > UNACKNOWLEDGED_SECONDS:
            found.append(f"the broker {address} takes what is published and acknowledges nothing; see its log")
            if self._flow_control.unacknowledged_seconds > NO_ACKNOWLEDGEMENT_SECONDS:
                self._connection.cut()
        if self._online.is_set() and self._flow_control.is_flooded:
            found.append(
                f"the broker {address} sends so many messages that its acknowledgements wait behind them; "
                "find out who publishes on this node's command topics or on Home Assistant's status"
            )
        if len(self._losses) == MANY_LOSSES and now - self._losses[0] < LOSSES_SECONDS:
            found.append(f"the connection to the broker does not last: {self._connection.last_loss}")
        if self._qos0_dropped_at_seconds is not None and now - self._qos0_dropped_at_seconds < QOS0_DROPPED_SECONDS:
            found.append(
                f"the connection to the broker {address} is slow: probabilities are left out, and counted in dropped_messages"
            )
        for sentence in found:
            if sentence not in self.troubles:
                LOG.warning("%s", sentence)
        self.troubles = tuple(found)

    def _send_farewell_in_time(self) -> None:
        if self._closing is None or self._farewell_sent:
            return
        if (self._is_idle and not self.outbox.depth) or time.monotonic() >= self._closing.farewell_by_seconds:
            self._farewell_sent = True
            self._accept(self._closing.farewell)


def _pattern(filters: Iterable[str]) -> re.Pattern[str]:
    """All topics under filters with `+`. paho's own match takes longer than all else that is done with a message."""
    return re.compile("|".join(re.escape(each).replace(r"\+", "[^/]*") for each in filters) or r"(?!)")


def _key(message: Message) -> str:
    return message.message_id or message.topic
