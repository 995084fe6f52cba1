"""Publishes from any thread without making it wait: events through the outbox, states coalesced, the rest while it is fresh."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge_detector.core.outgoing import Outbox
from edge_detector.edges.mqtt.client import Broker, Connection, Explain
from edge_detector.edges.mqtt.inbox import Acknowledged, Close, Connected, Disconnected, Inbox, Item, Stored, Unheard, is_event
from edge_detector.edges.mqtt.trouble import TroubleLog
from edge_detector.types import Message

PENDING_EVENTS = 1_000
"""Events kept while the broker is away by a publisher without an outbox of its own."""
TEND_SECONDS = 5.0
DISK_SECONDS = 1.0
"""How often the outbox is looked after while it waits for its disk, which may hang."""
STOP_SECONDS = 0.5


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
        outbox: between `start` and `close` others only read its attributes; closed by its owner; None for one in memory.
        subscriptions: topic filters that are subscribed to on every connect.
        on_message: called for what comes in by them, on the connection's thread; must return at once and raise nothing.
        explain: makes a sentence of an error met while connecting, given the broker's address.

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
        explain: Explain | None = None,
    ) -> None:
        self.outbox = Outbox(None, time.monotonic, max_messages=PENDING_EVENTS) if outbox is None else outbox
        self._subscriptions = tuple(subscriptions)
        self._inbox = Inbox()
        self.outbox.wake = lambda: self._inbox.put(Stored())
        self._greeting_topic = greeting.topic
        self._retained: dict[str, Message] = {greeting.topic: greeting}
        self._decided: list[Message] = []
        self._delivered: list[str] = []
        self._refused: dict[str, str] = {}
        self._due: dict[str, Message] = {}
        self._in_flight: dict[int, Message] = {}
        self._online = threading.Event()
        self._window = self._connects = self._stale = self._refused_states = 0
        self._troubles = TroubleLog()
        self._closing: Close | None = None
        self._said_farewell = False
        self._delivered_all = False
        self._worker = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._connection = Connection(broker, last_will, self._inbox.put, on_message or (lambda _message: None), explain)

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
        return self._troubles.refused_topics

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
        """Whether the worker thread and paho's run; between `start` and `close` everything else is a bug."""
        return self._worker.is_alive() and self._connection.alive

    def start(self) -> None:
        """Begin to connect, in the background; a broker that is not there yet is tried again for ever."""
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

    def close(self, farewell: Message, timeout_seconds: float) -> bool:
        """Deliver what is waiting, say `farewell`, a retained message, disconnect. False if not all was acknowledged in time.

        What the outbox has on disk is then sent after the next start.
        """
        now = time.monotonic()
        self._inbox.put(Close(farewell, now + 0.75 * timeout_seconds, now + timeout_seconds))
        self._worker.join()
        self._connection.stop(STOP_SECONDS)
        return self._delivered_all

    def _work(self) -> None:
        while not self._finished:
            for item in self._inbox.hear(self._patience_seconds):
                self._handle(item)
            self._commit()
            self._say_farewell_in_time()
            self._pump()
            self.outbox.tend()
            self._troubles.say(self.outbox.trouble, self.dropped_messages, self.dropped_events)
        self._delivered_all = self._said_farewell and self._quiet and not self.outbox.depth

    @property
    def _quiet(self) -> bool:
        return self._online.is_set() and not self._due and not self._in_flight and self._inbox.is_empty

    @property
    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return (self._said_farewell and self._quiet) or time.monotonic() >= self._closing.deadline_seconds

    @property
    def _patience_seconds(self) -> float:
        tend_seconds = DISK_SECONDS if self.outbox.is_waiting else TEND_SECONDS
        if self._closing is None:
            return tend_seconds
        due_seconds = self._closing.deadline_seconds if self._said_farewell else self._closing.farewell_by_seconds
        return min(tend_seconds, due_seconds - time.monotonic())

    def _handle(self, item: Item) -> None:
        match item:
            case Message():
                self._accept(item)
            case Acknowledged():
                self._settle(item)
            case Unheard(topic_filter, refusal):
                self._troubles.refuse(topic_filter, refusal, "the broker will not send us")
            case Connected():
                self._greet(item.window)
            case Disconnected():
                self._online.clear()
                self._commit()  # what was acknowledged before
                self._in_flight.clear()
                self.outbox.release()
            case Close():
                self._closing = item
            case Stored():
                pass  # the outbox hears of it each turn

    def _accept(self, message: Message) -> None:
        if is_event(message):
            self._decided.append(message if message.message_id else replace(message, message_id=str(uuid.uuid4())))
        elif message.retained:
            if not message.payload:
                # What ends a topic goes behind what was told before it, such as that the topic's entity is gone.
                self._retained.pop(message.topic, None)
                self._due.pop(message.topic, None)
            self._retained[message.topic] = self._due[message.topic] = message
        elif self._online.is_set():
            self._send(message)
        else:
            self._stale += 1

    def _commit(self) -> None:
        if self._decided or self._delivered or self._refused:
            self.outbox.commit(self._decided, self._delivered, self._refused)
            self._decided, self._delivered, self._refused = [], [], {}

    def _greet(self, window: int) -> None:
        self._window = window
        self._online.set()
        self._connects += 1
        self._troubles.start_anew(self._retained)
        self._due = dict(self._retained)
        self._due[self._greeting_topic] = self._due.pop(self._greeting_topic)
        self._connection.subscribe(self._subscriptions)

    def _pump(self) -> None:
        """Send what the broker has room for: first the states, of each topic only the latest, then events."""
        while self._online.is_set() and self._due and len(self._in_flight) < self._window:
            self._send(self._due.pop(next(iter(self._due))))
        if self._online.is_set() and not self._said_farewell:
            for message in self.outbox.take(self._window - len(self._in_flight)):
                self._send(message)

    def _send(self, message: Message) -> None:
        try:
            mid = self._connection.publish(message)
        except ValueError as error:  # a topic or a size that MQTT does not know
            self._refuse(message, str(error))
            return
        if mid is not None:
            self._in_flight[mid] = message
        elif is_event(message):
            self.outbox.release([message.message_id or ""])

    def _settle(self, acknowledged: Acknowledged) -> None:
        message = self._in_flight.pop(acknowledged.mid, None)
        if message and acknowledged.refusal:
            self._refuse(message, acknowledged.refusal)
        elif message:
            self._troubles.take(message.topic)
            if is_event(message):
                self._delivered.append(message.message_id or "")

    def _refuse(self, message: Message, reason: str) -> None:
        self._troubles.refuse(message.topic, reason)
        if is_event(message):
            self._refused[message.message_id or ""] = reason
        else:
            self._refused_states += 1

    def _say_farewell_in_time(self) -> None:
        if self._closing is None or self._said_farewell:
            return
        if (self._quiet and not self.outbox.depth) or time.monotonic() >= self._closing.farewell_by_seconds:
            self._said_farewell = True
            self._accept(self._closing.farewell)
