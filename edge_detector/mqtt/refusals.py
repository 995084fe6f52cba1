"""Meanings and remedies of MQTT 5 reason codes; paho maps the five codes of MQTT 3.1.1 to them."""

from edge_detector.mqtt.address import Broker

TAKEN_OVER = 142
PACKET_TOO_LARGE = 149
TRANSIENT = frozenset({128, 131, 151})
"""Refusals of a message that may be accepted later: unspecified, implementation specific, quota exceeded."""

_LOGIN = "check user name and password"
_LATER = "it is tried again, more and more slowly"
_REFUSALS = {
    128: "it gives no reason; see its log",
    129: 'it does not understand this CONNECT packet; try protocol = "{other}" in [mqtt]',
    130: 'it rejects the CONNECT packet as malformed; try protocol = "{other}" in [mqtt]',
    131: "the reason is its own; see its log",
    132: 'it does not speak MQTT {protocol}; set protocol = "{other}" in [mqtt]',
    133: "it does not take the client id {client_id}; allow it there (mosquitto: clientid_prefixes), or change [node] name",
    134: _LOGIN,
    135: _LOGIN,
    136: f"it cannot serve now; {_LATER}",
    137: f"it is busy; {_LATER}",
    138: "it has banned this client; lift the ban there",
    140: "it requires another kind of authentication; allow user name and password there",
    144: "it does not accept the topic of the last will; allow base_topic there, or change it in [mqtt]",
    149: "the CONNECT packet is too large for it; raise its limit on packets",
    151: "a quota is used up; raise it there",
    153: "it does not accept the payload of the last will; see its log",
    154: "it keeps no retained messages, and states are retained; switch them on there (mosquitto: retain_available true)",
    155: "it takes no QoS 1, and events need it; allow it there (mosquitto: max_qos 1)",
    156: "it redirects to another server{reference}; set host in [mqtt]",
    157: "it has moved{reference}; set host in [mqtt]",
    159: f"it is asked too often; {_LATER}",
}
_LOSSES = {
    139: "it shuts down; it is tried again",
    141: "it received nothing for too long; check whether the network is slow",
    TAKEN_OVER: "another client uses the id {client_id}, as a copied card does; give each node a name of its own ([node] name)",
    147: "more was under way than it takes; see its log",
    PACKET_TOO_LARGE: "a packet was too large for it; raise its limit on packets (mosquitto: max_packet_size)",
    150: "it gets messages too fast; raise its limit, or set probabilities to second or off",
    151: "a quota is used up; raise it there",
    152: "an administrator ended the connection; see its log",
    154: _REFUSALS[154],
    155: _REFUSALS[155],
    156: _REFUSALS[156],
    157: _REFUSALS[157],
    159: _REFUSALS[159],
}
# CONNACK codes of MQTT 3.1.1, with which a broker of that version also answers an MQTT 5 CONNECT.
_OLD_CODES = {1: 132, 2: 133, 3: 136, 4: 134, 5: 135}


def refused(broker: Broker, code: int, reason: object, reference: str = "") -> str:
    """Return a sentence with remedy for a CONNACK that refuses the connection."""
    cure = _filled(_REFUSALS.get(code, "see its log"), broker, reference)
    return f"the broker {broker.address} refused the connection ({reason}); {cure}"


def lost(broker: Broker, code: int, reason: object, reference: str = "") -> str:
    """Return a sentence for a connection that has ended, with the remedy if known."""
    cure = _filled(_LOSSES.get(code, ""), broker, reference)
    return f"lost the broker {broker.address} ({reason})" + (f"; {cure}" if cure else "")


def taken_over(broker: Broker) -> str:
    """Return a sentence for another client that connects with the same client id."""
    return f"the broker {broker.address} ended a connection: {_filled(_LOSSES[TAKEN_OVER], broker, '')}"


def no_answer(broker: Broker, code: int | None, problem: str | None, *, silent: bool) -> str:
    """Return a sentence for a connection that ended before a valid CONNACK.

    `code` is the code of a CONNACK that paho rejected, `problem` the reason; `silent`: no packet was received.
    """
    if code in _OLD_CODES:
        names = {132: "Unsupported protocol version", 133: "Client identifier not valid", 136: "Server unavailable"}
        new = _OLD_CODES[code]
        return refused(broker, new, names.get(new, "Not authorized"))
    if problem is not None:
        cure = f'try protocol = "{_other(broker)}" in [mqtt]'
        return f"the broker {broker.address} does not answer in MQTT {broker.protocol} ({problem}); {cure}"
    if silent:
        return (
            f"the broker {broker.address} accepts the connection and does not answer; "
            "check that it is an MQTT broker, and whether it requires TLS"
        )
    return (
        f"the broker {broker.address} closed the connection before it answered; "
        "check whether it requires TLS or a client certificate"
    )


def _other(broker: Broker) -> str:
    return "3.1.1" if broker.protocol == "5" else "5"


def _filled(cure: str, broker: Broker, reference: str) -> str:
    values = {"protocol": broker.protocol, "other": _other(broker), "client_id": broker.client_id}
    return cure.format(**values, reference=f" ({reference[:100]})" if reference else "")
