"""A stream from the network, an IP camera's or a web radio's, decoded by ffmpeg in a process of its own.

A password in the URL never reaches a log or an error message of ours. ffmpeg has no way to be given a URL but its command line,
though, which every user of the same machine can read: there, give the camera a user that may do nothing but listen.
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
"""Of ffmpeg's own data. Web radios, playlists and cameras of 4K need up to 64 MB of it (measured); a hostile tag asks for 250."""
_AHEAD_SECONDS = 10.0
_SAID = re.compile(r"(?:\[[^\]@]*\] )*\[(?P<level>info|warning|error|fatal|panic)\] (?P<words>.*)")
_DURATION = re.compile(r"  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),")
_RADIO = re.compile(r" +icy-|Input #0, (?:hls|dash|rtsp|rtp|sdp|flv|mpegts)\b")
"""Of what goes on without end, whatever it sends ahead."""
_NO_SOUND = "Stream map '0:a:0' matches no streams"
_PLAYLISTS = (".m3u", ".pls", ".asx", ".xspf")

_PROMPT = ("-analyzeduration", "1000000")
"""Looks at one second of a stream before it gives the first sample, in place of five."""

# What ffmpeg may open from there on: a playlist from the network must not name files of this machine.
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

    It is read no faster than the clock goes: what comes ahead of it makes ffmpeg wait, and at last the far end, and nothing is
    dropped. A recording that was heard to its end has ended; a live stream that ends is worth opening again. Certificates are
    verified for https; ffmpeg does not verify those of rtsps and rtmps.

    Args:
        url: http, https, rtsp, rtsps, rtmp, rtmps, rtp, srt, tcp or udp.
        start_seconds: the first sound must come within this time.
        stall_seconds: without sound for this long the stream counts as lost.
        program: what to run instead of ffmpeg.

    Raises:
        UsageError: not such a URL.
        SourceError: nothing to hear there, or ffmpeg is not installed.

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
        # ffmpeg takes HTTP:// for the name of a file.
        url = parts.scheme + url[len(parts.scheme) :]
        self._conceal = _concealer(url, parts)
        self._duration_seconds: float | None = None
        self._tagged = self._is_radio = False
        command = [
            *program, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info", *_PROMPT, *_OPTIONS[parts.scheme],
            "-i", url,
            "-map", "0:a:0", "-ac", "1", "-ar", str(FRONT_END.sample_rate_hz), "-f", "s16le", "-flush_packets", "1", "pipe:1",
        ]  # fmt: skip
        child = Child(command, install=_INSTALL, words=self._keep, variables=WEB_VARIABLES, memory_bytes=_MEMORY_BYTES)
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
            sentence = f"{error}; it looks like a playlist: open it with a text editor, and give the address that stands in it"
            raise SourceError(sentence) from error

    def _keep(self, line: str) -> str:
        """Of a line of ffmpeg's the errors; how long the stream is, it says among much else."""
        said = _SAID.fullmatch(line)
        if said is None:
            # A dynamic linker that fails, say; but not the second line of something that was passed over.
            return "" if self._tagged else self._conceal(line)
        self._tagged = True
        if said["level"] in ("info", "warning"):
            self._is_radio = self._is_radio or _RADIO.match(said["words"]) is not None
            if said["level"] == "info" and (found := _DURATION.match(said["words"])) and self._duration_seconds is None:
                self._duration_seconds = 3_600.0 * int(found[1]) + 60.0 * int(found[2]) + float(found[3])
            return ""
        if _NO_SOUND in said["words"]:
            return "it has no sound; switch its sound on, as many a camera's must be"
        return self._conceal(said["words"])

    def _is_finite(self) -> bool:
        # Both: some radios promise a length, but none gives more sound than it has made.
        duration_seconds, heard_seconds = self._duration_seconds, self._seconds(self._read_bytes)
        if duration_seconds is None:
            # Without a length it must have come at once, most of it: a radio may send a burst too, but then it goes on.
            return not self._is_radio and self._ahead_seconds >= max(_AHEAD_SECONDS, heard_seconds / 2.0)
        if self._ahead_seconds < min(_AHEAD_SECONDS, duration_seconds / 2.0):
            return False
        return heard_seconds >= 0.9 * duration_seconds - 1.0


def check_url(url: str) -> SplitResult:
    """The parts of a URL that can be listened to. Raises UsageError, which does not repeat the URL's secrets."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError as error:
        # What urlsplit says may hold a part of the password.
        raise UsageError(f"{without_secrets(url)} is no URL; write a / in a password as %2F, an @ as %40") from error
    if parts.scheme not in _OPTIONS or not parts.hostname or not has_port:
        raise UsageError(f"{without_secrets(url)} cannot be listened to; URLs begin with {', '.join(_OPTIONS)} and name a host")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise UsageError(f"{without_secrets(url)!r} holds a space or control character; write it as %20 or the like")
    return parts


def without_secrets(url: str) -> str:
    """The URL as it may be shown: neither user, password nor query."""
    address, question_mark, _ = url.partition("#")[0].partition("?")
    scheme, separator, rest = address.partition("://")
    # The last @, even of a path: whoever forgets to write a / in a password as %2F must not see it in a log.
    _, at, visible = rest.rpartition("@")
    return f"{scheme}{separator}{at and _CONCEALED + at}{visible}{question_mark and '?' + _CONCEALED}"


def _concealer(url: str, parts: SplitResult) -> Callable[[str], str]:
    user_and_password = parts.netloc.rpartition("@")[0]
    password = parts.password or ""
    # The longest first: no part of a secret must be left because a shorter one was taken out of it.
    secrets = sorted({user_and_password, password, unquote(password), parts.query, unquote(parts.query)} - {""}, key=len)[::-1]

    def conceal(text: str) -> str:
        text = text.replace(url, without_secrets(url))
        for secret in secrets:
            text = text.replace(secret, _CONCEALED)
        return text

    return conceal
