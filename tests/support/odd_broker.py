"""A broker that says what no other would: a few lines of MQTT on a loopback port, for each connection a script."""

import socket
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tests.support.listener import Listener

PUBACK = 0x40
CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
WELCOME = b"\x20\x03\x00\x00\x00"
WELCOME_311 = b"\x20\x02\x00\x00"


def packet(head: int, body: bytes) -> bytes:
    """A control packet from the first byte of its header and what follows the length."""
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([head]) + bytes(length) + body


def publish(topic: bytes, payload: bytes = b"", properties: bytes = b"\x00") -> bytes:
    """A QoS 0 PUBLISH as MQTT 5 has it, of whatever bytes."""
    return packet(0x30, struct.pack(">H", len(topic)) + topic + properties + payload)


class Published(NamedTuple):
    """A client's QoS 1 message; `number` is the packet identifier's two bytes, as an acknowledgement repeats them."""

    topic: bytes
    number: bytes
    payload: bytes


def published(head: int, body: bytes) -> Published | None:
    """The QoS 1 message that a packet is, as MQTT 5 has it without properties; None for any other."""
    if head >> 4 != PUBLISH or not head & 0x06:
        return None
    at = 2 + int.from_bytes(body[:2], "big")
    return Published(body[2:at], body[at : at + 2], body[at + 3 :])


class Guest:
    """One client's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self._connection.recv(count - len(found))
            if not more:
                raise ConnectionResetError
            found += more
        return found

    def read(self) -> tuple[int, bytes]:
        """Header byte and body of the next packet."""
        head, length, shift = self._exactly(1)[0], 0, 0
        while True:
            digit = self._exactly(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return head, self._exactly(length)

    def serve(self, welcome: bytes = WELCOME, *, acknowledges: bool = True) -> None:
        """Answer all that a broker answers, until the client goes."""
        while True:
            head, body = self.read()
            kind = head >> 4
            if kind == CONNECT:
                self.send(welcome)
            elif acknowledges and (message := published(head, body)):
                self.send(packet(PUBACK, message.number))
            elif kind == SUBSCRIBE:
                self.send(packet(0x90, body[:2] + b"\x00\x01"))
            elif kind == PINGREQ:
                self.send(b"\xd0\x00")


Script: TypeAlias = Callable[[Guest, int], None]


class OddBroker(Listener):
    """Runs `script` for each connection, with its number from 1, and hangs up when it returns."""

    def __init__(self, script: Script) -> None:
        super().__init__(lambda connection, number: script(Guest(connection), number))
