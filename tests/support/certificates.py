"""A certificate authority of one's own, made with openssl: for brokers, for clients, expired, for another name, encrypted."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
LOOPBACK_NAMES = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, both PEM."""

    file: Path
    key: Path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Signs certificates, all in one folder.

    Attributes:
        certificate: its own, which others are to trust.

    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = Certificate(folder / "ca.crt", folder / "ca.key")
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-days", "3650", "-keyout", self.certificate.key, "-out", self.certificate.file),
            *("-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"),
        )

    def server(self, name: str = "server", *, names: str = LOOPBACK_NAMES, valid_days: int = 30) -> Certificate:
        """For a broker; with negative days one that has expired."""
        return self._sign(name, f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", valid_days)

    def client(self, name: str, *, valid_days: int = 30) -> Certificate:
        """For a client, whom the broker will know as `name`."""
        return self._sign(name, "extendedKeyUsage=clientAuth\n", valid_days)

    def _sign(self, name: str, extensions: str, valid_days: int) -> Certificate:
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, extension_file = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extension_file.write_text(extensions)
        _openssl("req", *_NEW_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate.file, "-CAkey", self.certificate.key, "-CAcreateserial"),
            *("-days", str(valid_days), "-out", made.file, "-extfile", extension_file),
        )
        return made


def encrypted_copy(certificate: Certificate, passphrase: str) -> Certificate:
    """The same, its key protected by a passphrase."""
    key = certificate.key.with_suffix(".encrypted")
    _openssl("pkey", "-in", certificate.key, "-aes256", "-passout", f"pass:{passphrase}", "-out", key)
    return Certificate(certificate.file, key)
