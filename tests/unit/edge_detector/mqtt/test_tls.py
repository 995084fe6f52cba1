"""Against real certificates, real TLS servers and sockets that misbehave."""

import errno
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_detector.errors import BrokerError, UsageError
from edge_detector.mqtt.tls import client_context, describe_connect_error, probe
from tests.support.broker import HOST, free_port
from tests.support.certificates import Authority, Certificate, encrypted_copy

PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server for one client; its port."""
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(PATIENCE_SECONDS)

        def accept() -> None:
            connection, _ = server.accept()
            connection.settimeout(PATIENCE_SECONDS)
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the server is done"


@contextmanager
def tls_server(
    certificate: Certificate, *, trusted: Authority | None = None, newest: ssl.TLSVersion | None = None
) -> Iterator[int]:
    """Wants a certificate of the client where `trusted` is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    if newest is not None:
        context.maximum_version = newest
    if trusted is not None:
        context.load_verify_locations(trusted.certificate.file)
        context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            pass

    with listening(serve) as port:
        yield port


@pytest.mark.parametrize("host", ["localhost", HOST])
@pytest.mark.parametrize(("newest", "version"), [(None, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")])
def test_a_broker_signed_by_a_given_authority_is_trusted_by_name_and_by_address(
    authority: Authority, host: str, newest: ssl.TLSVersion | None, version: str
) -> None:
    with tls_server(authority.server(), newest=newest) as port:
        assert probe(host, port, client_context(ca_file=authority.certificate.file)) == version


def test_a_context_always_verifies_certificate_and_name(authority: Authority) -> None:
    for context in (client_context(), client_context(ca_file=authority.certificate.file)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_unknown_authority_is_not_trusted(authority: Authority) -> None:
    with tls_server(authority.server()) as port, pytest.raises(BrokerError, match=r"no trusted authority.*name.*with ca_file"):
        probe(HOST, port, client_context())


def test_another_authority_than_the_given_one_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    other = client_context(ca_file=Authority(tmp_path, "somebody else").certificate.file)
    with tls_server(authority.server()) as port, pytest.raises(BrokerError, match=f"broker {HOST}:{port} is not trusted"):
        probe(HOST, port, other)


def test_an_expired_certificate_is_reported(authority: Authority) -> None:
    context = client_context(ca_file=authority.certificate.file)
    with tls_server(authority.server("old", valid_days=-1)) as port, pytest.raises(BrokerError, match="has expired; renew it"):
        probe(HOST, port, context)


@pytest.mark.parametrize("host", ["localhost", HOST])
def test_a_certificate_for_another_name_is_reported(authority: Authority, host: str) -> None:
    context = client_context(ca_file=authority.certificate.file)
    elsewhere = authority.server("elsewhere", names="DNS:elsewhere.example")
    with tls_server(elsewhere) as port, pytest.raises(BrokerError, match=f"for another name.*or have {host} added to it"):
        probe(host, port, context)


@pytest.mark.parametrize("newest", [None, ssl.TLSVersion.TLSv1_2])
def test_a_broker_that_requires_a_client_certificate_gets_it_or_the_error_names_it(
    authority: Authority, tmp_path: Path, newest: ssl.TLSVersion | None
) -> None:
    mine, server = authority.client("ear"), authority.server()
    ca_file = authority.certificate.file
    with tls_server(server, trusted=authority, newest=newest) as port:
        assert probe(HOST, port, client_context(ca_file=ca_file, cert_file=mine.file, key_file=mine.key))
    with tls_server(server, trusted=authority, newest=newest) as port, pytest.raises(BrokerError, match="cert_file and key_file"):
        probe(HOST, port, client_context(ca_file=ca_file))
    old = authority.client("old ear", valid_days=-1)
    with (
        tls_server(server, trusted=authority, newest=newest) as port,
        pytest.raises(BrokerError, match="the client certificate has expired"),
    ):
        probe(HOST, port, client_context(ca_file=ca_file, cert_file=old.file, key_file=old.key))
    stranger = Authority(tmp_path, "somebody else").client("ear")
    with (
        tls_server(server, trusted=authority, newest=newest) as port,
        pytest.raises(BrokerError, match="does not trust the issuer"),
    ):
        probe(HOST, port, client_context(ca_file=ca_file, cert_file=stranger.file, key_file=stranger.key))


def test_certificate_and_key_may_be_one_file(authority: Authority, tmp_path: Path) -> None:
    mine = authority.client("ear")
    both = tmp_path / "both.pem"
    both.write_bytes(mine.file.read_bytes() + mine.key.read_bytes())
    client_context(cert_file=both)


def test_each_wrong_file_is_one_sentence_that_names_it(authority: Authority, tmp_path: Path) -> None:
    mine, other = authority.client("ear"), authority.client("mouth")
    missing, nonsense = tmp_path / "missing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("this is no certificate")
    locked = encrypted_copy(mine, "hunter2").key
    wrong: list[tuple[dict[str, Path], str]] = [
        ({"ca_file": missing}, f"ca_file {missing} cannot be read: No such file"),
        ({"ca_file": nonsense}, f"ca_file {nonsense} holds no certificate"),
        ({"cert_file": missing, "key_file": mine.key}, f"cert_file {missing} cannot be read"),
        ({"cert_file": mine.file, "key_file": missing}, f"key_file {missing} cannot be read"),
        ({"cert_file": mine.file, "key_file": nonsense}, f"{nonsense} are not a certificate and its private key"),
        ({"cert_file": mine.file, "key_file": other.key}, f"key_file {other.key} does not belong to the certificate"),
        ({"cert_file": mine.file}, "are not a certificate and its private key"),
        ({"cert_file": mine.file, "key_file": locked}, f"key {locked} is encrypted"),
    ]
    for files, sentence in wrong:
        with pytest.raises(UsageError) as caught:
            client_context(**files)
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broker_without_tls_is_distinguished_from_one_with_tls(authority: Authority) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 what?\r\n\r\n")

    def hang_up(connection: socket.socket) -> None:
        connection.recv(4_096)

    context = client_context(ca_file=authority.certificate.file)
    with listening(speak) as port, pytest.raises(BrokerError, match=r"does not speak TLS on this port.*8883"):
        probe(HOST, port, context)
    with listening(hang_up) as port, pytest.raises(BrokerError, match=r"hung up"):
        probe(HOST, port, context)


def test_without_tls_a_connection_is_enough() -> None:
    with listening(lambda _: None) as port:
        assert probe(HOST, port, None) == "without encryption"


def test_each_unreachable_address_is_one_sentence() -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=rf"the broker {HOST}:{port} cannot be reached: nothing listens on that port"):
        probe(HOST, port, None)
    with pytest.raises(BrokerError, match=r"the name no-such-host\.invalid cannot be resolved"):
        probe("no-such-host.invalid", port, None)
    with pytest.raises(BrokerError, match="cannot be reached"):
        probe("a" * 70 + ".example", port, None)


def test_a_server_that_never_answers_times_out(authority: Authority) -> None:
    done = threading.Event()

    def say_nothing(_: socket.socket) -> None:
        done.wait(PATIENCE_SECONDS)

    with listening(say_nothing) as port:
        with pytest.raises(BrokerError, match="there is no answer"):
            probe(HOST, port, client_context(ca_file=authority.certificate.file), timeout_seconds=0.2)
        done.set()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "check the address, the network and the firewall"),
        (TimeoutError(), "check the address, the network and the firewall"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "IPAddressAllow in the systemd unit"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "tls = true"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] alert"), "broker.local:8883 does not complete a TLS handshake"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_every_error_of_a_connection_becomes_a_sentence_with_the_address(error: Exception, sentence: str) -> None:
    said = describe_connect_error(error, "broker.local:8883")
    assert said.startswith("the broker broker.local:8883 ")
    assert sentence in said


def test_a_wrong_clock_is_named_as_a_possible_cause() -> None:
    error = ssl.SSLCertVerificationError(1, "not yet valid")
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    assert "timedatectl" in describe_connect_error(error, "broker:8883")
    error.verify_code, error.verify_message = 26, "unsuitable certificate purpose"
    assert "unsuitable certificate purpose; check ca_file" in describe_connect_error(error, "broker:8883")
