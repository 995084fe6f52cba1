"""What the doctor says of the page: of its packages, its password, its port, and the page that is served there."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from edge_detector.cli.doctor.finding import Finding
from edge_detector.cli.doctor.page import examine_page
from edge_detector.config import WebConfig
from edge_detector.web import page as page_module
from edge_detector.web.page import configured_page
from tests.support.broker import free_port
from tests.support.waiting import wait_until
from tests.support.web_server import WebServer

PASSWORD = "correct horse"  # noqa: S105 - of tests alone


def examined(web: WebConfig) -> list[Finding]:
    return list(examine_page(web, {}))


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "web-password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return file


@contextmanager
def served(web: WebConfig) -> Iterator[None]:
    """The real page, at the address of a configuration."""
    configured = configured_page(web, "edge_detector/nursery", None, {})
    assert configured is not None
    server = configured[0].server
    server.bind()
    server.start()
    try:
        wait_until(lambda: examined(web)[-1].said.startswith("it is served"), "the page")
        yield
    finally:
        server.close(10.0)


class Stranger(BaseHTTPRequestHandler):
    """A web server that is another program."""

    body = b"[]"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class StrangeJson(Stranger):
    body = b'{"password_needed": "perhaps"}'


def test_without_a_page_there_is_nothing_to_say() -> None:
    assert examined(WebConfig()) == []


def test_a_page_that_could_be_served_has_an_address_for_other_machines_or_this_one(password_file: Path) -> None:
    port = free_port()
    (alone,) = examined(WebConfig(f"127.0.0.1:{port}"))
    assert (alone.verdict, alone.figures) == ("good", {"url": f"http://127.0.0.1:{port}/"})
    (public,) = examined(WebConfig(f"0.0.0.0:{port}", password_file, "https://sounds.example.org"))
    assert public.said == f"0.0.0.0:{port} is free for it; while the service runs, it is at https://sounds.example.org/"


def test_missing_packages_are_named_with_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "find_spec", lambda _name: None)
    findings = examined(WebConfig(f"127.0.0.1:{free_port()}"))
    assert [finding.verdict for finding in findings] == ["bad", "good"]
    assert "pip install -e '.[web]'" in findings[0].said


def test_a_password_that_cannot_be_used_or_that_everybody_can_read_is_found(password_file: Path) -> None:
    web = WebConfig(f"0.0.0.0:{free_port()}", password_file)
    password_file.chmod(0o644)
    exposed, good = examined(web)
    assert (exposed.verdict, good.verdict) == ("warning", "good")
    assert f"chmod 600 {password_file}" in exposed.said
    password_file.write_text("short")
    (bad,) = examined(web)
    assert (bad.verdict, "is too short" in bad.said) == ("bad", True)
    password_file.unlink()
    (bad,) = examined(web)
    assert (bad.verdict, "write the secret there, with mode 0600" in bad.said) == ("bad", True)


@pytest.mark.parametrize("handler", [Stranger, StrangeJson])
def test_another_program_at_the_port_is_no_page(handler: type[BaseHTTPRequestHandler]) -> None:
    with WebServer(handler) as other:
        (bad,) = examined(WebConfig(other.url.removeprefix("http://")))
    assert bad.verdict == "bad"
    assert bad.said.startswith("the page cannot be served at 127.0.0.1:")
    assert bad.said.endswith("choose another address or port in [web] listen, or stop the program that has it")


def test_an_address_that_this_machine_lacks_is_said() -> None:
    (bad,) = examined(WebConfig("192.0.2.7:8080", None, "http://sounds.example.org"))
    assert (bad.verdict, "Cannot assign requested address" in bad.said) == ("bad", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::1]"])  # noqa: S104 - of a test
def test_the_page_that_is_served_already_is_recognized_at_every_address(host: str, password_file: Path) -> None:
    web = WebConfig(f"{host}:{free_port()}", password_file)
    with served(web):
        (good,) = examined(web)
    assert good.verdict == "good"
    assert good.said == f"it is served at {good.figures['url']}"


def test_a_page_that_was_started_with_another_password_setting_is_told_to_restart(password_file: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    with served(WebConfig(listen)):
        (old,) = examined(WebConfig(listen, password_file))
    assert old.verdict == "warning"
    assert old.said == f"the page that is served at {listen} asks for no password, unlike this configuration"
    assert "restart" in str(old.advice)


def test_a_port_that_only_root_may_use_is_no_port_for_the_service() -> None:
    said = examined(WebConfig("127.0.0.1:81"))[0]
    assert (said.verdict, said.said) == ("warning", "port 81 is for root alone, and the service is not root")
