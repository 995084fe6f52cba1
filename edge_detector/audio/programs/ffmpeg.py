"""Network streams, as of IP cameras and web radios, decoded by an ffmpeg process.

A password in the URL never appears in logs and error messages. But ffmpeg receives the URL on its command line, which every user
of the machine can read: where there are other users, use a camera account with no other rights.
"""

import re
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from edge_detector.audio.programs.child import Child
from edge_detector.audio.programs.environment import WEB_VARIABLES
from edge_detector.audio.programs.pipe_source import PipeSource
from edge_detector.errors import SourceError, UsageError
from edge_detector.params import FRONT_END

STALL_SECONDS = 10.0
START_SECONDS = 20.0
_TIMEOUT_MICROSECONDS = 10_000_000
_CONCEALED = "***"
_INSTALL = "apt-get install ffmpeg"
_MEMORY_BYTES = 128 << 20
"""Limit of ffmpeg's data segment. Web radios, playlists and 4K cameras need up to 64 MB (measured); a hostile tag 250."""
_AHEAD_SECONDS = 10.0
_LOG_LINE = re.compile(r"(?:\[[^\]@]*\] )*\[(?P<level>info|warning|error|fatal|panic)\] (?P<text>.*)")
_DURATION = re.compile(r"  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),")
_RADIO = re.compile(r" +icy-|Input #0, (?:hls|dash|rtsp|rtp|sdp|flv|mpegts)\b")
"""Log lines of endless streams, which may send a burst too."""
_NO_SOUND = "Stream map '0:a:0' matches no streams"
_PLAYLISTS = (".m3u", ".pls", ".asx", ".xspf")

_PROMPT = ("-analyzeduration", "1000000")
"""Analyse one second of the stream before the first sample, not five."""

# Protocols that ffmpeg may open: a playlist from the network must not refer to local files.
_WEB = ("-protocol_whitelist", "http,https,tcp,tls,crypto,data,httpproxy", "-rw_timeout", str(_TIMEOUT_MICROSECONDS))
_CAMERA = ("-protocol_whitelist", "rtsp,rtp,srtp,udp,tcp,tls", "-rtsp_transport", "tcp", "-timeout", str(_TIMEOUT_MICROSECONDS))
_OPTIONS = {
    "http": _WEB,
    "https": (*_WEB, "-tls_verify", "1"),
    "rtsp": _CAMERA,
    "rtsps": _CAMERA,
    "rtmp": ("-protocol_whitelist", "rtmp,tcp"),
    "rtmps": ("-protocol_whitelist", "rtmps,rtmp,tls,tcp"),
    "rtp": ("-protocol_whitelist", "rtp,udp"),
    "srt": ("-protocol_whitelist", "srt,udp"),
    "tcp": ("-protocol_whitelist", "tcp"),
    "udp": ("-protocol_whitelist", "udp"),
}


class UrlSource(PipeSource):
    """A live source: the first audio stream found at a URL, mixed to mono at 16 kHz.

    It is read in real time: ffmpeg, and then the server, wait, and nothing is dropped. A recording read to its end has ended; a
    live stream that ends should be reopened. Certificates are verified for https; ffmpeg does not verify those of rtsps and
    rtmps.

    Args:
        url: http, https, rtsp, rtsps, rtmp, rtmps, rtp, srt, tcp or udp.
        start_seconds: time limit for the first sound.
        stall_seconds: time without sound after which the stream counts as lost.
        program: command to run instead of ffmpeg.

    Raises:
        UsageError: the URL is invalid.
        SourceError: the URL has no sound, or ffmpeg is not installed.

    """

    def __init__(
        self,
        url: str,
        *,
        start_seconds: float = START_SECONDS,
        stall_seconds: float = STALL_SECONDS,
        program: Sequence[str] = ("ffmpeg",),
    ) -> None:
        parts = check_url(url)
        # ffmpeg reads HTTP:// in upper case as a file name.
        url = parts.scheme + url[len(parts.scheme) :]
        self._conceal = _secret_filter(url, parts)
        self._duration_seconds: float | None = None
        self._tagged = self._is_radio = False
        command = [
            *program, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info", *_PROMPT, *_OPTIONS[parts.scheme],
            "-i", url,
            "-map", "0:a:0", "-ac", "1", "-ar", str(FRONT_END.sample_rate_hz), "-f", "s16le", "-flush_packets", "1", "pipe:1",
        ]  # fmt: skip
        child = Child(
            command, install=_INSTALL, filter_line=self._filter_log, variables=WEB_VARIABLES, memory_bytes=_MEMORY_BYTES
        )
        try:
            super().__init__(
                f"the stream {without_secrets(url)}",
                child,
                start_seconds=start_seconds,
                stall_seconds=stall_seconds,
                paced=True,
            )
        except SourceError as error:
            if not parts.path.lower().endswith(_PLAYLISTS):
                raise
            sentence = f"{error}; it looks like a playlist: open it with a text editor, and use the address in it"
            raise SourceError(sentence) from error

    def _filter_log(self, line: str) -> str:
        """Return the error in a line of ffmpeg's log, or an empty text; collects the stream's duration and kind."""
        log_line = _LOG_LINE.fullmatch(line)
        if log_line is None:
            # An untagged line is an error, as of the dynamic linker, unless it continues a dropped line.
            return "" if self._tagged else self._conceal(line)
        self._tagged = True
        if log_line["level"] in ("info", "warning"):
            self._is_radio = self._is_radio or _RADIO.match(log_line["text"]) is not None
            if log_line["level"] == "info" and (found := _DURATION.match(log_line["text"])) and self._duration_seconds is None:
                self._duration_seconds = 3_600.0 * int(found[1]) + 60.0 * int(found[2]) + float(found[3])
            return ""
        if _NO_SOUND in log_line["text"]:
            return "it has no sound; switch its sound on, which many cameras have off"
        return self._conceal(log_line["text"])

    def _is_finite(self) -> bool:
        # Both conditions: some radios declare a length, but none delivers ahead of real time.
        duration_seconds, read_seconds = self._duration_seconds, self._seconds(self._read_bytes)
        if duration_seconds is None:
            # Without a length, most of it must have arrived at once: a radio may send a burst too, but continues.
            return not self._is_radio and self._ahead_seconds >= max(_AHEAD_SECONDS, read_seconds / 2.0)
        if self._ahead_seconds < min(_AHEAD_SECONDS, duration_seconds / 2.0):
            return False
        return read_seconds >= 0.9 * duration_seconds - 1.0


def check_url(url: str) -> SplitResult:
    """Parse and check a stream URL. Raises UsageError without the URL's secrets."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        # The message of urlsplit may hold a part of the password.
        raise UsageError(f"{without_secrets(url)} is not a URL; write a / in a password as %2F, an @ as %40") from error
    if parts.scheme not in _OPTIONS or not parts.hostname or not has_port:
        raise UsageError(f"{without_secrets(url)} cannot be used; URLs begin with {', '.join(_OPTIONS)} and name a host")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise UsageError(f"{without_secrets(url)!r} holds a space or control character; write it as %20 or the like")
    return parts


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query, for display."""
    address, question_mark, _ = url.partition("#")[0].partition("?")
    scheme, separator, rest = address.partition("://")
    # The last @, even in the path: a password with an unescaped / must not appear in a log.
    _, at, visible = rest.rpartition("@")
    return f"{scheme}{separator}{at and _CONCEALED + at}{visible}{question_mark and '?' + _CONCEALED}"


def _secret_filter(url: str, parts: SplitResult) -> Callable[[str], str]:
    user_and_password = parts.netloc.rpartition("@")[0]
    password = parts.password or ""
    # Longest first: removing a shorter secret must not leave parts of a longer one.
    secrets = sorted({user_and_password, password, unquote(password), parts.query, unquote(parts.query)} - {""}, key=len)[::-1]

    def conceal(text: str) -> str:
        text = text.replace(url, without_secrets(url))
        for secret in secrets:
            text = text.replace(secret, _CONCEALED)
        return text

    return conceal
