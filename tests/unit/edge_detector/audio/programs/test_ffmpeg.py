"""ffmpeg against servers of this machine, and a stand-in where only what it is given or says matters."""

import ast
import io
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_detector.audio.programs import UrlSource
from edge_detector.audio.programs.ffmpeg import check_url, without_secrets
from edge_detector.audio.programs.pace import BURST_SECONDS, RATE
from edge_detector.errors import SourceError, UsageError

RATE_HZ = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is missing: apt-get install ffmpeg")
RAMP = (np.arange(2 * RATE_HZ) % 32_767 + 1).astype("<i2")


def wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples)
    return file.getvalue()


@contextmanager
def server(pages: dict[str, bytes], *, hold: threading.Event | None = None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves `pages`; with `hold` each answer promises more than it gives, and stays open until it is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            if page is None:
                self.send_error(401)
                return
            self.send_response(200)
            if hold is None:
                self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            self.wfile.flush()
            if hold is not None:
                hold.wait(30)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as running:
        if tls is not None:
            running.socket = tls.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{running.server_address[1]}"
        if hold is not None:
            hold.set()
        running.shutdown()
        thread.join()


def all_of(source: UrlSource) -> list[int]:
    samples: list[int] = []
    for _ in range(2_000):
        block = source.read(10.0)
        if block is not None:
            assert block.first_sample == len(samples)
            assert block.lost_samples == 0
            samples += (block.samples * 32_768).astype(int).tolist()
        if source.ended:
            return samples
    raise AssertionError("it never ended")


@needs_ffmpeg
@pytest.mark.parametrize("copies", [1, 4])
def test_a_recording_behind_a_url_is_heard_to_its_end_without_loss_and_is_not_live_any_more(copies: int) -> None:
    long = np.tile(RAMP, copies)
    with server({"/long.wav": wav(long.tobytes())}) as address, closing(UrlSource(f"HTTP://{address}/long.wav")) as source:
        assert (source.rate_hz, source.live) == (RATE_HZ, True)
        assert all_of(source) == long.tolist()
        assert not source.live, "it was a recording, and is not to be opened again"


@needs_ffmpeg
def test_a_stream_that_comes_faster_than_real_time_is_heard_at_the_speed_of_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    with (
        server({"/fast.wav": wav(np.tile(RAMP, 200).tobytes())}) as address,
        closing(UrlSource(f"http://{address}/fast.wav")) as source,
    ):
        began = time.monotonic()
        heard_seconds, late_seconds = 0.0, []
        while (seconds := time.monotonic() - began) < 6.0:
            block = source.read(0.5)
            heard_seconds += 0.0 if block is None else len(block.samples) / RATE_HZ
            assert heard_seconds <= RATE * (time.monotonic() - began) + BURST_SECONDS + 0.3
            late_seconds.append(source.waiting_seconds)
        assert heard_seconds > seconds, "and no slower"
        assert min(late_seconds[-20:]) < 1.0, "what waits came early; a reader that was held up has caught up"
    assert caplog.text.count("faster than real time") == 1


@needs_ffmpeg
@pytest.mark.parametrize(("headers", "live"), [({}, False), ({"icy-name": "Radio", "icy-br": "256"}, True)])
def test_what_came_at_once_without_a_length_was_a_recording_unless_it_says_that_it_is_a_radio(
    headers: dict[str, str], live: object
) -> None:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(wav(np.tile(RAMP, 6).tobytes()))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        with closing(UrlSource(f"http://127.0.0.1:{running.server_address[1]}/sound")) as source:
            assert len(all_of(source)) == 12 * RATE_HZ
            assert source.live == live
        running.shutdown()
        thread.join()


@needs_ffmpeg
def test_a_live_stream_that_its_server_ends_stays_live() -> None:
    class Radio(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            # A length that nobody keeps to, as a recorder for a pipe writes.
            self.wfile.write(wav(b"")[:40] + b"\xff\xff\xff\x7f")
            for _ in range(15):
                self.wfile.write(RAMP[:3_200].tobytes())
                time.sleep(0.2)  # the pace of a radio

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Radio) as radio:
        thread = threading.Thread(target=radio.serve_forever, daemon=True)
        thread.start()
        with closing(UrlSource(f"http://127.0.0.1:{radio.server_address[1]}/radio.wav")) as source:
            assert len(all_of(source)) == 15 * 3_200
            assert source.live
        radio.shutdown()
        thread.join()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("/list.m3u", "it looks like a playlist"),
        ("/list.PLS", "it looks like a playlist"),
        ("/silent.mkv", "it has no sound; switch its sound on"),
    ],
)
def test_what_holds_no_sound_is_told_with_what_helps_and_nothing_that_changes(tmp_path: Path, page: str, words: str) -> None:
    video = tmp_path / "video.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-an", str(video)]
    subprocess.run(["ffmpeg", "-loglevel", "error", *picture], check=True)
    pages = {
        "/list.m3u": b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n",
        "/list.PLS": b"[playlist]\nFile1=http://127.0.0.1/a.mp3\n",
        "/silent.mkv": video.read_bytes(),
    }
    with server(pages) as address, pytest.raises(SourceError) as caught:
        UrlSource(f"http://{address}{page}")
    assert words in str(caught.value)
    assert not re.search("0x[0-9a-f]|Stream map|trailing", str(caught.value))


@needs_ffmpeg
def test_a_tag_of_250_mb_does_not_take_the_machines_memory() -> None:
    size = 250 << 20
    length = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    frame = b"APIC" + (size - 20).to_bytes(4) + b"\0\0" + b"\0image/png\0\3\0"
    most_bytes: list[int] = []

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/mpeg")
            self.end_headers()
            self.wfile.write(b"ID3\3\0\0" + length + frame)
            for _ in range(size >> 16):
                self.wfile.write(b"\x89" * 65_536)
                most_bytes.append(children_bytes())

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Hostile) as hostile:
        threading.Thread(target=hostile.serve_forever, daemon=True).start()
        with pytest.raises(SourceError, match=r"cannot be opened|delivered no sound"):
            UrlSource(f"http://127.0.0.1:{hostile.server_address[1]}/a.mp3")
        hostile.shutdown()
    assert 0 < max(most_bytes) < 200 << 20


def children_bytes() -> int:
    """Resident memory of the biggest of this process's children."""
    found = [child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()]
    return max([resident_bytes(child) for child in found], default=0)


def resident_bytes(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def test_a_program_that_reads_what_strangers_send_has_no_secret_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DETECTOR_MQTT_PASSWORD", "hunter2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    seen = tmp_path / "environment"
    script = f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ))); raise SystemExit(1)"
    with pytest.raises(SourceError):
        UrlSource("http://radio/a.mp3", program=[sys.executable, "-S", "-c", script])
    given = ast.literal_eval(seen.read_text())
    assert not {"EDGE_DETECTOR_MQTT_PASSWORD", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"} & set(given)
    assert given["PATH"] == os.environ["PATH"]
    assert given["https_proxy"] == "http://proxy:3128"


@needs_ffmpeg
def test_a_stream_that_stops_coming_is_lost_and_its_program_can_be_ended() -> None:
    hold = threading.Event()
    with (
        server({"/live.wav": wav(np.tile(RAMP, 2).tobytes())}, hold=hold) as address,
        closing(UrlSource(f"http://{address}/live.wav", stall_seconds=1.0)) as source,
        pytest.raises(SourceError, match=r"live\.wav was lost: no sound for 1\."),
    ):
        all_of(source)
    assert source.ended


@needs_ffmpeg
def test_a_refusal_is_told_without_password_and_token() -> None:
    with server({}) as address, pytest.raises(SourceError) as caught:
        UrlSource(f"http://eve:s%40cret@{address}/cam?token=abc123")
    assert "401" in str(caught.value)
    assert f"http://***@{address}/cam?***" in str(caught.value)
    for secret in ("s%40cret", "s@cret", "abc123", "eve"):
        assert secret not in str(caught.value)


@needs_ffmpeg
def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"rtsp://127\.0\.0\.1:9/cam cannot be opened: .*Connection refused"):
        UrlSource("rtsp://127.0.0.1:9/cam")


@needs_ffmpeg
def test_a_page_without_sound_is_an_error() -> None:
    with server({"/": b"<html>no sound here</html>"}) as address, pytest.raises(SourceError, match="Invalid data"):
        UrlSource(f"http://{address}/")


@needs_ffmpeg
def test_a_playlist_from_the_network_cannot_name_a_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "private.wav").write_bytes(wav(RAMP.tobytes()))
    for entry in (f"file://{tmp_path}/private.wav", f"{tmp_path}/private.wav"):
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{entry}\n#EXT-X-ENDLIST\n".encode()
        with server({"/list.m3u8": playlist}) as address, pytest.raises(SourceError):
            UrlSource(f"http://{address}/list.m3u8")


@needs_ffmpeg
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "key", "-out", "crt"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    with server({"/a.wav": wav(RAMP.tobytes())}, tls=tls) as address, pytest.raises(SourceError, match="certificate"):
        UrlSource(f"https://{address}/a.wav")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "http://", "concat:a|b", "-version", "ftp://host/a", "http://ho st/a", "http://host:99999/", "x"],
)
def test_what_is_no_such_url_is_refused_before_anything_is_run(url: str) -> None:
    with pytest.raises(UsageError):
        UrlSource(url, program=["/no/such/program"])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:pa@ss@camera.lan:554/stream1", "rtsp://***@camera.lan:554/stream1"),
        ("http://radio/a.mp3?key=1?2#x", "http://radio/a.mp3?***"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("http://user:a/b@host/c", "http://***@host/c"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_password_that_breaks_its_url_is_not_told() -> None:
    with pytest.raises(UsageError) as caught:
        check_url("rtsp://user:se/cret@camera/a")
    assert "user" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_without_ffmpeg_the_error_says_what_to_install() -> None:
    with pytest.raises(SourceError, match="no-such-ffmpeg is not installed: apt-get install ffmpeg"):
        UrlSource("http://radio/a.mp3", program=["no-such-ffmpeg"])


def test_the_program_gets_the_url_as_one_argument_and_may_not_leave_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    run = subprocess.Popen

    def record(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401 - those of Popen
        seen.append(command)
        return run([sys.executable, "-c", "raise SystemExit(1)"], **options)

    monkeypatch.setattr(subprocess, "Popen", record)
    url = "rtsp://user:secret@camera/$(reboot);`reboot`"
    with pytest.raises(SourceError):
        UrlSource(url)
    (command,) = seen
    assert command[command.index("-i") + 1] == url
    assert not {"file", "pipe", "concat"} & set(command[command.index("-protocol_whitelist") + 1].split(","))
