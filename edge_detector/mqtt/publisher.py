"""Publisher: events go through the outbox, states are coalesced by topic, other messages are sent or dropped."""

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
"""Limit of events in memory for a publisher without an outbox of its own."""
MAINTENANCE_SECONDS = 5.0
DISK_SECONDS = 1.0
"""Interval of the outbox's maintenance while a turn of its disk is pending, which may hang."""
STOP_SECONDS = 0.5
UNACKNOWLEDGED_SECONDS = 15.0
MAX_RETRIES, RETRY_SECONDS = 5, 10.0
"""An event refused for a transient reason is sent again after 10, 20, … seconds."""
NO_ACKNOWLEDGEMENT_SECONDS = 60.0
"""Time without an acknowledgement after which the connection is made again."""
MANY_LOSSES, LOSSES_SECONDS = 5, 300.0
"""Number of lost connections within a time that is reported as a trouble."""
QOS0_DROPPED_SECONDS = 60.0
SUSPICION_SECONDS = 5.0
"""Time on a connection after which suspected messages that are not pending any more are no longer suspected."""
CORRECTION_SECONDS = 10.0
GREETING_SECONDS = 3.0
"""Longest time that the greeting waits for the other states."""


class Publisher:
    """Thread-safe publisher that never blocks the caller.

    Messages with QoS 1 that are not retained are events. They go through the outbox: committed, sent, and deleted once
    acknowledged. The latest value of each retained topic is published on every connect. Other messages are sent at once; while
    there is no connection they are dropped and counted.

    All state belongs to one worker thread. Other threads, the connection's callbacks too, put items into its inbox: paho calls
    them under a lock that its `publish` also takes, so a lock around both would deadlock.

    Args:
        broker: address and login.
        last_will: retained message that the broker sends when the connection is lost.
        greeting: retained message published on every connect after all other states, so that they are current when it arrives.
            On a slow link it is sent before them.
        outbox: between `start` and `close` other threads only read its attributes; its owner closes it. None: in memory.
        subscriptions: topic filters to subscribe to on every connect.
        on_message: called for messages under them, on the connection's thread; must return at once and not raise.
        own_filters: filters of retained topics that only this node may write; foreign values there are overwritten.
        on_own: called as `on_message` for messages under them, including this publisher's own.
        explain: formats an error of a connect as a sentence, given the broker's address.

    Attributes:
        troubles: problems of the connection, a sentence each. Replaced as a whole.

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
        """Count of events dropped because of limits on number or age."""
        return self.outbox.dropped_messages + self._inbox.overflowed_events

    @property
    def dropped_messages(self) -> int:
        """Count of all dropped messages, including those that went stale without a connection."""
        return self.dropped_events + self._inbox.overflowed_rest + self._stale

    @property
    def refused_messages(self) -> int:
        """Count of messages that the broker refused."""
        return self.outbox.refused_messages + self._refused_states

    @property
    def refused_topics(self) -> Mapping[str, str]:
        """Topics that the broker refused to accept or to send at the last attempt, with its reasons."""
        return self._trouble_log.refused_topics

    @property
    def backlog(self) -> int:
        """Count of messages waiting for this publisher or for the broker."""
        return len(self._inbox) + self.outbox.depth

    @property
    def reconnects(self) -> int:
        """Count of connections after the first."""
        return max(0, self._connects - 1)

    @property
    def last_error(self) -> str | None:
        """Reason why there is no connection, as a sentence; None while there is one."""
        return self._connection.last_error

    @property
    def alive(self) -> bool:
        """Whether both threads run; False between `start` and `close` is a bug."""
        return self._worker.is_alive() and self._connection.is_alive

    @property
    def hung(self) -> str | None:
        """A sentence on a thread that makes no progress; None if both do."""
        return self._heartbeat.overdue or self._connection.heartbeat.overdue

    def contest(self) -> None:
        """Lengthen the reconnect delays, since another client has the same client id or node name."""
        self._connection.contest()

    @property
    def longest_packet(self) -> int | None:
        """Packet limit of the broker in bytes; None if it named none."""
        return self._longest_packet

    def start(self) -> None:
        """Start both threads; connecting is retried without limit."""
        self._heartbeat.beat("start")
        self._worker.start()
        self._connection.start()

    def wait_connected(self, timeout_seconds: float) -> bool:
        """Wait until the broker accepts the connection; False after the timeout."""
        return self._online.wait(timeout_seconds)

    def publish(self, message: Message) -> None:
        """Queue one message and return at once; if the inbox is full, the message is dropped and counted."""
        if self._worker.ident is None:  # before the start no message may be dropped, and the worker does not run yet
            self._accept(message)
        else:
            self._inbox.offer(message)

    def has_published(self, topics: Iterable[str]) -> bool:
        """Return whether the broker has acknowledged the latest messages on these retained topics."""
        if not self._online.is_set() or len(self._inbox):
            return False
        waiting = {*self._due.copy(), *(message.topic for message in list(self._in_flight.values()))}
        return waiting.isdisjoint(topics)

    def close(self, farewell: Message, timeout_seconds: float) -> bool:
        """Deliver waiting messages, publish the retained `farewell` and disconnect. False if not all was acknowledged in time.

        Events on disk are then sent after the next start.
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
        except Exception as error:  # noqa: BLE001 - it is logged, and `alive` is False, which ends the process
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
        match item:  # `Stored` needs no handling: each turn queries the outbox
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
                    self._trouble_log.refuse(topic_filter, refusal, "the broker does not deliver")
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
                # The deletion of a topic follows earlier messages, such as the removal of its entity.
                self._retained.pop(message.topic, None)
                self._due.pop(message.topic, None)
            self._retained[message.topic] = self._due[message.topic] = message
        elif not self._online.is_set():
            self._stale += 1
        elif self._suspects(message):
            self._due[message.topic] = replace(message, qos=1)  # so that the broker answers
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
        self._commit()  # acknowledgements received before
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
        """Send events and states within the flow control's window."""
        if not self._online.is_set():
            return
        self._send_status_in_time()
        if self._hang_ups.careful:
            self._send_one_at_a_time()
            return
        room = self._flow_control.window - len(self._in_flight)
        if room > 0:
            # Three events for each state, so that neither blocks the other.
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
        """Send a late greeting or farewell ahead of the rest, beyond the window but within the broker's limit."""
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
        """Send one message at a time, to find the one at which the broker closes the connection."""
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
                return  # without a connection, the loop would dequeue the same event again

    def _next_alone(self) -> Message | None:
        """Select the next message to send alone: a small state as a probe, events, states by size, suspects last."""
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
        """Send or refuse a message. Returns False if there is no connection."""
        problem = self._problem(message)
        if problem is not None:
            self._refuse(message, problem)
            return True
        try:
            mid = self._connection.publish(message)
        except ValueError as error:  # a topic or a size that MQTT does not allow
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
        """Return the known reason why the broker would refuse a message, or None."""
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
        """Keep an event refused for a transient reason, and pause events; a state is sent again with its next value."""
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
        """Dispatch a received message, on the connection's thread, and detect foreign values on own topics."""
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
        """Return whether this is the value just replaced by this publisher, delayed by the broker."""
        payload, replaced_at_seconds = self._replaced.get(message.topic, (None, 0.0))
        return payload == message.payload and time.monotonic() - replaced_at_seconds < CORRECTION_SECONDS

    def _correct_overwritten(self) -> None:
        """Publish overwritten values again, at most every ten seconds a topic, since two nodes may correct each other."""
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
                    LOG.warning(
                        "another client has written to %s; it is corrected (%d times so far)",
                        topic,
                        self._corrections,
                    )

    def _poll_troubles(self) -> None:
        now, address = time.monotonic(), self._connection.address
        found = []
        if self._online.is_set() and self._flow_control.unacknowledged_seconds > UNACKNOWLEDGED_SECONDS:
            found.append(f"the broker {address} accepts messages and acknowledges nothing; see its log")
            if self._flow_control.unacknowledged_seconds > NO_ACKNOWLEDGEMENT_SECONDS:
                self._connection.cut()
        if self._online.is_set() and self._flow_control.is_flooded:
            found.append(
                f"the broker {address} sends so many messages that its acknowledgements wait behind them; "
                "find out who publishes on this node's command topics or on Home Assistant's status"
            )
        if len(self._losses) == MANY_LOSSES and now - self._losses[0] < LOSSES_SECONDS:
            found.append(f"the connection to the broker does not last: {self._connection.last_loss}")
        if (takeover := self._connection.takeover) is not None:
            found.append(takeover)
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
    """Compile topic filters with `+`; paho's own matcher takes longer than all other handling of a message."""
    return re.compile("|".join(re.escape(each).replace(r"\+", "[^/]*") for each in filters) or r"(?!)")


def _key(message: Message) -> str:
    return message.message_id or message.topic
