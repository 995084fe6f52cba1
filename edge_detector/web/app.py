"""Routes of the page. The only file that imports Starlette; what a route answers is decided elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge_detector.bounded_files import parse_json
from edge_detector.clips.store import ClipStore
from edge_detector.errors import EdgeDetectorError
from edge_detector.mqtt.runtime_settings import MAX_THRESHOLD, ON, Accepted, MuteCommand, Refusal
from edge_detector.review.sounds import SoundsFolder
from edge_detector.threads import Worker, in_thread
from edge_detector.web import clips_api, health_api, history_api, reviews_api, teaching_api, would_have_api
from edge_detector.web.asgi import Receive, Scope, Send
from edge_detector.web.broadcast import Broadcast, Subscription
from edge_detector.web.clips_api import ClipRefusal, Recordings
from edge_detector.web.commands import Commands
from edge_detector.web.connection_limits import ConnectionCounts
from edge_detector.web.event_loop import call_soon
from edge_detector.web.feed import Feed
from edge_detector.web.metrics import exposition
from edge_detector.web.request import UNFORESEEN
from edge_detector.web.teaching_api import MOST_CLASSES, Teaching, TeachingRefusal
from edge_detector.web.views import NodeFigures, NodeView, PageFigures

T = TypeVar("T")

STATIC = Path(__file__).parent / "static"
ANSWER_SECONDS = 3.0
"""Longest wait for the detecting thread's answer to a command."""
READERS = 2
MOST_WAITING = 20
CLIP_CHUNK_BYTES = 1 << 16
_REVIEW = '{"id": "…", "verdict": "right"}, "wrong", "none", or "other" with a "label"'
_STARTING = "the service is still starting; try again in a moment"


@dataclass(frozen=True, slots=True)
class AppParts:
    """What the routes serve.

    Attributes:
        history: file of the history, or None where no history is kept.
        clips: the clips of sound, or None where none are kept.
        connections: counts of connections.
        sounds: the reviewed ones, or None where none are kept.
        teaching: teaching from recordings, or None where there is no state directory.

    """

    feed: Feed
    broadcast: Broadcast
    commands: Commands
    history: Path | None
    clips: ClipStore | None
    connections: ConnectionCounts
    sounds: SoundsFolder | None = None
    teaching: Teaching | None = None


def build_app(parts: AppParts) -> Starlette:
    """Return the application: page, live stream, history, commands, health and metrics."""
    routes = _Routes(parts)
    return Starlette(
        routes=[
            Route("/", routes.index),
            Route("/api/live", routes.live),
            Route("/api/node", routes.node),
            Route("/api/classes", routes.classes),
            Route("/api/health", routes.health),
            Route("/metrics", routes.metrics),
            Route("/api/events", routes.events),
            Route("/api/hours", routes.hours),
            Route("/api/kinds", routes.kinds),
            Route("/api/would-have", routes.would_have),
            Route("/api/clips", routes.stored_clips),
            Route("/api/clips/delete", routes.delete_clip, methods=["POST"]),
            Route("/api/clips/delete-all", routes.delete_clips, methods=["POST"]),
            Route("/api/clips/{id}", routes.clip),
            Route("/api/clips/{id}/spectrogram", routes.clip_spectrogram),
            Route("/api/reviews", routes.reviews),
            Route("/api/reviews", routes.review, methods=["POST"]),
            Route("/api/sounds/delete", routes.delete_sounds, methods=["POST"]),
            Route("/api/teaching", routes.teaching),
            Route("/api/teaching/start", routes.start_teaching, methods=["POST"]),
            Route("/api/teaching/cancel", routes.cancel_teaching, methods=["POST"]),
            Route("/api/teaching/switch", routes.switch_bundle, methods=["POST"]),
            Route("/api/threshold", routes.set_threshold, methods=["POST"]),
            Route("/api/mute", routes.set_mute, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={404: _not_found, 405: _wrong_method, 500: _failed},
    )


class _Routes:
    def __init__(self, parts: AppParts) -> None:
        self._feed = parts.feed
        self._broadcast = parts.broadcast
        self._commands = parts.commands
        self._history = parts.history
        clips, sounds = parts.clips, parts.sounds
        self._recordings = None if clips is None or sounds is None else Recordings(clips, sounds)
        self._connections = parts.connections
        self._teaching = parts.teaching
        self._idle_readers: asyncio.Queue[Worker] = asyncio.Queue()
        for _ in range(READERS):
            self._idle_readers.put_nowait(Worker("page reader"))
        self._waiting = 0

    async def index(self, _request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def live(self, request: Request) -> Response:
        if request.method == "HEAD":
            # Without a body it would be open for ever, and nothing would show that its client has gone.
            return Response(media_type="text/event-stream")
        subscription = self._broadcast.subscribe()
        if subscription is None:
            return _error(503, "too many browsers look at this page; close one and try again")

        return _LiveResponse(self._broadcast, subscription)

    async def node(self, _request: Request) -> Response:
        view = self._feed.view
        return _error(503, _STARTING) if view is None else _Json(view.as_json())

    async def classes(self, _request: Request) -> Response:
        view = self._feed.view
        return _error(503, _STARTING) if view is None else _Json(health_api.classes(view))

    async def health(self, _request: Request) -> Response:
        state = self._state
        return _error(503, _STARTING) if state is None else _Json(health_api.health(*state, self._page_figures))

    async def metrics(self, _request: Request) -> Response:
        state = self._state
        if state is None:
            return _error(503, _STARTING)
        # Copies, since the detecting thread adds to both.
        text = exposition(*state, self._feed.events.copy(), self._feed.levels.copy(), self._page_figures)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def events(self, request: Request) -> Response:
        query, path = _query(request), self._history
        if path is None:
            return _no_history()
        if query.get("format") != ["csv"]:
            return await self._from_disk(lambda: history_api.events_page(path, query, self._recordings).as_json())
        try:
            rows = await self._read(lambda: history_api.events_csv(path, query))
            first = await self._read(lambda: next(rows, b""))
        except (EdgeDetectorError, history_api.BadRequest) as error:
            return _refused(error)

        async def chunks() -> AsyncIterator[bytes]:
            chunk = first
            while chunk:
                yield chunk
                chunk = await self._read(lambda: next(rows, b""), has_begun=True)

        headers = {"Content-Disposition": 'attachment; filename="events.csv"'}
        return StreamingResponse(chunks(), media_type="text/csv; charset=utf-8", headers=headers)

    async def hours(self, request: Request) -> Response:
        query, path = _query(request), self._history
        return _no_history() if path is None else await self._from_disk(lambda: history_api.hours(path, query).as_json())

    async def kinds(self, _request: Request) -> Response:
        path = self._history
        return _no_history() if path is None else await self._from_disk(lambda: history_api.kinds(path).as_json())

    async def would_have(self, request: Request) -> Response:
        query, path, view, rules = _query(request), self._history, self._feed.view, self._feed.default_rules
        if path is None:
            return _no_history()
        if view is None:
            return _error(503, _STARTING)
        return await self._from_disk(lambda: would_have_api.would_have(path, query, view, rules).as_json())

    async def set_threshold(self, request: Request) -> Response:
        match await _body(request):
            case {"source": str(source), "class": str(slug), "on": None | int() | float() as on} if _is_threshold(on):
                return await self._answered(self._commands.set_threshold(source, slug, on))
        return _error(
            400, 'the request has no valid threshold; send {"source": "…", "class": "…", "on": 0.5}, or null for the default'
        )

    async def set_mute(self, request: Request) -> Response:
        match await _body(request):
            case {"source": str(source), "muted": None | bool() as muted}:
                return await self._answered(self._commands.set_mute(source, muted=muted))
        return _error(400, 'the request has no mute; send {"source": "…", "muted": true}')

    async def stored_clips(self, _request: Request) -> Response:
        recordings = self._recordings
        return _no_clips() if recordings is None else await self._from_disk(lambda: clips_api.stored_clips(recordings).as_json())

    async def clip(self, request: Request) -> Response:
        recordings, clip_id = self._recordings, request.path_params["id"]
        if recordings is None:
            return _no_clips()
        try:
            opened = await self._read(lambda: clips_api.open_clip(recordings, clip_id))
        except (EdgeDetectorError, ClipRefusal) as error:
            return _refused(error)
        headers = {"Content-Length": str(opened.size_bytes)}
        if request.method == "HEAD":
            opened.file.close()
            return Response(media_type="audio/flac", headers=headers)

        async def chunks() -> AsyncIterator[bytes]:
            file = opened.file
            try:
                # A clip that is deleted meanwhile stays readable, and a complete one does not grow.
                while chunk := await self._read(lambda: file.read(CLIP_CHUNK_BYTES), has_begun=True):
                    yield chunk
            finally:
                # Not here: where the browser has left, a read may still wait for the disk, and the end for it.
                in_thread(file.close, "page reader")

        return StreamingResponse(chunks(), media_type="audio/flac", headers=headers)

    async def clip_spectrogram(self, request: Request) -> Response:
        recordings, clip_id = self._recordings, request.path_params["id"]
        if recordings is None:
            return _no_clips()
        return await self._from_disk(lambda: clips_api.spectrogram(recordings, clip_id).as_json())

    async def delete_clip(self, request: Request) -> Response:
        recordings = self._recordings
        if recordings is None:
            return _no_clips()
        match await _body(request):
            case {"id": str(clip_id)}:
                return await self._from_disk(lambda: clips_api.delete(recordings, clip_id))
        return _error(400, 'the request names no clip; send {"id": "…"}')

    async def delete_clips(self, request: Request) -> Response:
        recordings = self._recordings
        if recordings is None:
            return _no_clips()
        if await _body(request) != {}:
            return _error(400, "the request says something else than to delete all clips; send {}")
        return await self._from_disk(lambda: clips_api.delete_all(recordings))

    async def reviews(self, request: Request) -> Response:
        query, recordings = _query(request), self._recordings
        return _no_clips() if recordings is None else await self._from_disk(lambda: reviews_api.reviews(recordings, query))

    async def review(self, request: Request) -> Response:
        recordings = self._recordings
        if recordings is None:
            return _no_clips()
        match await _body(request):
            case {"id": str(clip_id), "verdict": "other", "label": str(label)}:
                return await self._from_disk(lambda: reviews_api.review(recordings, clip_id, "other", label))
            case {"id": str(clip_id), "verdict": "right" | "wrong" | "none" as verdict}:
                return await self._from_disk(lambda: reviews_api.review(recordings, clip_id, verdict, None))
        return _error(400, f"the request is no review; send {_REVIEW}")

    async def delete_sounds(self, request: Request) -> Response:
        recordings = self._recordings
        if recordings is None:
            return _no_clips()
        match await _body(request):
            case {"slug": str(slug)}:
                return await self._from_disk(lambda: reviews_api.delete_label(recordings, slug))
        return _error(400, 'the request names no label; send {"slug": "…"}')

    async def teaching(self, _request: Request) -> Response:
        teaching = self._teaching
        return _no_teaching() if teaching is None else await self._from_disk(lambda: teaching_api.status(teaching))

    async def start_teaching(self, request: Request) -> Response:
        teaching = self._teaching
        if teaching is None:
            return _no_teaching()
        match await _body(request):
            case {"classes": [str(), *_] as classes} if _are_names(classes):
                return await self._from_disk(lambda: teaching_api.start(teaching, classes), HTTPStatus.ACCEPTED)
        return _error(400, f'the request names no sounds; send {{"classes": ["…"]}}, with 1 to {MOST_CLASSES} of them')

    async def cancel_teaching(self, request: Request) -> Response:
        teaching = self._teaching
        if teaching is None:
            return _no_teaching()
        if await _body(request) != {}:
            return _error(400, "the request says something else than to cancel the teaching; send {}")
        return await self._from_disk(lambda: teaching_api.cancel(teaching))

    async def switch_bundle(self, request: Request) -> Response:
        teaching = self._teaching
        if teaching is None:
            return _no_teaching()
        match await _body(request):
            case {"to": "taught" | "configured" as bundle}:
                to_taught = bundle == "taught"
                answer = await self._from_disk(lambda: teaching_api.switch(teaching, to_taught=to_taught), HTTPStatus.ACCEPTED)
                if answer.status_code == HTTPStatus.ACCEPTED:
                    # After the answer, which the end of this run would cut off.
                    answer.background = BackgroundTask(self._commands.request_restart)
                return answer
        return _error(400, 'the request names no bundle; send {"to": "taught"} or {"to": "configured"}')

    @property
    def _state(self) -> tuple[NodeView, NodeFigures] | None:
        view, figures = self._feed.view, self._feed.figures
        return None if view is None or figures is None else (view, figures)

    @property
    def _page_figures(self) -> PageFigures:
        return PageFigures(self._broadcast.browsers, self._feed.lost + self._broadcast.lost, self._connections.refused)

    async def _answered(self, answer: Future[Accepted | Refusal] | None) -> Response:
        if answer is None:
            return _error(503, "too many commands wait; try again in a moment")
        try:
            result = await asyncio.wait_for(asyncio.wrap_future(answer), ANSWER_SECONDS)
        except TimeoutError:
            return _error(503, "the service does not answer now; look at the value in a moment, and try again")
        if isinstance(result, Refusal):
            return _error(400, result.sentence)
        value = result.answer.payload.decode()
        if isinstance(result.command, MuteCommand):
            return _Json({"source": result.command.source, "muted": value == ON})
        return _Json({"source": result.command.source, "class": result.command.slug, "on": float(value)})

    async def _from_disk(self, read: Callable[[], Mapping[str, object]], status: HTTPStatus = HTTPStatus.OK) -> Response:
        """Answer with JSON that is read, and made, on a reader's thread."""
        try:
            return _Json(await self._read(read), status)
        except (EdgeDetectorError, history_api.BadRequest, ClipRefusal, TeachingRefusal) as error:
            return _refused(error)

    async def _read(self, read: Callable[[], T], *, has_begun: bool = False) -> T:
        """Read history or clips on another thread, since a disk may hang, and a few at a time.

        An answer that has begun waits however many there are: there are no more of them than connections.
        """
        if self._waiting >= MOST_WAITING and not has_begun:
            raise EdgeDetectorError("too many requests wait for the disk; try again in a moment")
        self._waiting += 1
        try:
            reader = await self._idle_readers.get()
            # Idle once the call has ended, not once its request has: a disk that hangs would collect calls of clients that left.
            idle = partial(self._idle_readers.put_nowait, reader)
            return await asyncio.wrap_future(reader(read, partial(call_soon, asyncio.get_running_loop(), idle)))
        finally:
            self._waiting -= 1


class _Json(JSONResponse):
    """JSON in UTF-8. What has no form in it becomes a question mark: the name of a file, for example, may be any bytes."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")


class _LiveResponse(StreamingResponse):
    """The events of a subscription, which ends with the response, even if none of it could be sent."""

    def __init__(self, broadcast: Broadcast, subscription: Subscription) -> None:
        super().__init__(subscription.chunks(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._broadcast = broadcast
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not in the generator: one that has not begun is never closed.
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._broadcast.unsubscribe(self._subscription)


def _query(request: Request) -> dict[str, Sequence[str]]:
    return {key: request.query_params.getlist(key) for key in request.query_params}


async def _body(request: Request) -> object:
    """Return the request's JSON, or None if it is none."""
    with suppress(ValueError):
        return parse_json(await request.body())
    return None


def _is_threshold(on: float | None) -> bool:
    return on is None or (not isinstance(on, bool) and 0.0 <= on <= MAX_THRESHOLD)


def _error(status: int, sentence: str) -> Response:
    return _Json({"error": sentence}, status)


def _refused(error: EdgeDetectorError | history_api.BadRequest | ClipRefusal | TeachingRefusal) -> Response:
    if isinstance(error, ClipRefusal | TeachingRefusal):
        return _error(error.status, str(error))
    return _error(503 if isinstance(error, EdgeDetectorError) else 400, str(error))


def _no_history() -> Response:
    return _error(404, "no history is kept; run the service with a state directory, and enabled = true in its table [history]")


def _no_teaching() -> Response:
    return _error(404, "nothing can be taught here; run the service with a state directory")


def _are_names(classes: list[object]) -> bool:
    return len(classes) <= MOST_CLASSES and all(isinstance(name, str) for name in classes)


def _no_clips() -> Response:
    return _error(404, "no clips are kept; run the service with a state directory, and enabled = true in its table [clips]")


async def _not_found(_request: Request, _exception: Exception) -> Response:
    return _error(404, "there is nothing at this address; the page is at /")


async def _wrong_method(_request: Request, _exception: Exception) -> Response:
    return _error(
        405, "this address takes no such request; changes and deletions are made by POST, everything else is read by GET"
    )


async def _failed(_request: Request, _exception: Exception) -> Response:
    """Answer; Starlette raises the error again after it, and the guard logs it."""
    return _error(500, UNFORESEEN)
