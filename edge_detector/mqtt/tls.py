"""TLS to the broker: contexts, a connection probe, and error sentences. Verification cannot be disabled."""

import errno
import socket
import ssl
from contextlib import suppress
from pathlib import Path

from edge_detector.errors import BrokerError, UsageError

_PROBE_SECONDS = 5.0
_VERDICT_SECONDS = 0.5

# OpenSSL's codes of a failed certificate verification (openssl/x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 18, 19, 20, 62, 64
_UNTRUSTED = (_SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, 2, 21)

_REASONS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port; TLS is usually on port 8883, and without it tls = false",
    "RECORD_LAYER_FAILURE": "it does not speak TLS on this port; TLS is usually on port 8883, and without it tls = false",
    "UNEXPECTED_EOF_WHILE_READING": "it hung up in the middle of the TLS handshake; is this its TLS port?",
    "CERTIFICATE_REQUIRED": "it requires a client certificate; give cert_file and key_file",
    "HANDSHAKE_FAILURE": "it did not agree on TLS; it may require a client certificate (cert_file and key_file)",
    "UNKNOWN_CA": "it does not trust the issuer of the client certificate; let its own authority sign the one in cert_file",
    "CERTIFICATE_EXPIRED": "it reports that the client certificate has expired; renew the one in cert_file",
    "CERTIFICATE_REVOKED": "it reports that the client certificate has been revoked; get a new one for cert_file",
    "BAD_CERTIFICATE": "it does not accept the client certificate; see its log, and check the one in cert_file",
    "PROTOCOL_VERSION": "it only speaks a TLS older than 1.2; bring the broker up to date",
}


def client_context(*, ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and host name. Raises UsageError that names the wrong file.

    Args:
        ca_file: certificates to trust; None for the system's.
        cert_file: client certificate with its chain, for a broker that requires one.
        key_file: its private key, unencrypted; None if it is in `cert_file`.

    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except ssl.SSLError as error:
        raise UsageError(f"the ca_file {ca_file} holds no certificate in PEM form ({error.reason})") from error
    except OSError as error:
        raise UsageError(f"the ca_file {ca_file} cannot be read: {error.strerror}") from error
    if cert_file is not None:
        _load_own(context, cert_file, key_file)
    return context


class _EncryptedKeyError(Exception):
    """A private key is encrypted; a service cannot ask for a passphrase."""


def _load_own(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    def no_passphrase() -> str:
        raise _EncryptedKeyError

    key = key_file or cert_file
    for setting, file in (("cert_file", cert_file), ("key_file", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise UsageError(f"the {setting} {file} cannot be read: {error.strerror}") from error
    try:
        context.load_cert_chain(cert_file, key, no_passphrase)
    except _EncryptedKeyError as error:
        raise UsageError(
            f"the private key {key} is encrypted; a service cannot be asked for its passphrase: openssl pkey -in …"
        ) from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = f"the key_file {key} does not belong to the certificate {cert_file}"
        else:
            problem = f"{cert_file} and {key} are not a certificate and its private key in PEM form ({error.reason or error})"
        raise UsageError(problem) from error


def describe_connect_error(error: Exception, address: str) -> str:
    """Return a sentence on a failed connect to the broker at `address` ("host:port"), with cause and remedy."""
    where, host = f"the broker {address}", address.rpartition(":")[0]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{where} is not trusted: {_verification(error, host)}"
    if isinstance(error, ssl.SSLError):
        return f"{where} does not complete a TLS handshake: {_tls_reason(error)}"
    return f"{where} cannot be reached: {_network_reason(error, host)}"


def _verification(error: ssl.SSLCertVerificationError, host: str) -> str:
    code, message = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return "its certificate has expired; renew it on the broker, or set this machine's clock if that is wrong"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet; this machine's clock may be wrong (timedatectl)"
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"its certificate is for another name; set host to the name it was made for, or have {host} added to it"
    if code in _UNTRUSTED:
        return "no trusted authority has signed its certificate; name the broker's own authority with ca_file"
    return f"{message}; check ca_file and the broker's certificate"


def _tls_reason(error: ssl.SSLError) -> str:
    reason = getattr(error, "reason", None) or ""  # absent if Python itself raised the error
    return next((words for part, words in _REASONS.items() if part in reason), str(error))


def _network_reason(error: Exception, host: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror):
        known = f'an address stands without brackets; set host = "{host.strip("[]")}"'
        return known if host.startswith("[") else f"the name {host} cannot be resolved; check host, or give the address"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on that port; is the broker running, and is the port right?"
    if isinstance(error, TimeoutError) or number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return "there is no answer; check the address, the network and the firewall"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection at once, as a broker does that requires TLS (tls = true) or a client certificate"
    if number in (errno.EPERM, errno.EACCES):
        return "this machine does not allow it; a firewall, or IPAddressAllow in the systemd unit, forbids the address"
    return str(error) or type(error).__name__


def probe(host: str, port: int, context: ssl.SSLContext | None, timeout_seconds: float = _PROBE_SECONDS) -> str:
    """Connect and, with a context, do the TLS handshake; returns the TLS version. Raises BrokerError.

    No MQTT packet is sent, so the login is not checked.
    """
    try:
        with socket.create_connection((host, port), timeout_seconds) as plain:
            if context is None:
                return "without encryption"
            with context.wrap_socket(plain, server_hostname=host) as secured:
                agreed = str(secured.version())
                _await_verdict(secured)
                return agreed
    except (OSError, UnicodeError) as error:
        raise BrokerError(describe_connect_error(error, f"{host}:{port}")) from error


def _await_verdict(secured: ssl.SSLSocket) -> None:
    """Wait for a late refusal: in TLS 1.3 a server rejects a client certificate after the client's handshake has ended."""
    secured.settimeout(_VERDICT_SECONDS)
    with suppress(TimeoutError):  # silence means success: in MQTT the client sends first
        secured.recv(1)
