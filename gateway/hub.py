"""All client sockets of this gateway, by user: who hears what.

Nothing crosses users: every frame names its user, and only that user's sockets
are looked at. Within a user, a job's frames go to every socket that has the
job's ``client_id`` (tabs and reconnects share one), or to all if it named none.
A socket whose client has declared nothing hears of one job at a time (``gateway.turns``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gateway.frames import Layout, binary_frame, is_last, status, text_frame
from gateway.outbox import Frame, Outbox
from gateway.turns import Turns
from scheduler.live import LiveHeader

#: status frames of one user are sent at most this often, in seconds. Browsers
#: answer each with two requests, and one prompt makes four.
_STATUS_PAUSE_S: Final = 0.05
#: longest client id, in characters
MAX_CLIENT_ID: Final = 256
_NOTHING_DECLARED: Final = Layout()


class Timer(Protocol):
    """What ``call_later`` hands back."""

    def cancel(self) -> None:
        """Do not call after all."""
        ...


def _call_later(delay_s: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(delay_s, callback)


async def _nothing_to_show(user: str) -> None:
    """Until somebody follows what happens."""


#: messages, each with its job, for a socket of this user and client id that has just come
Greeting = Callable[[str, str], list[tuple[str, dict[str, Any]]]]


@dataclass(eq=False, slots=True)
class ClientSocket:
    """One WebSocket of one user."""

    user: str
    client_id: str
    outbox: Outbox
    #: what the client has declared; None: nothing, like most scripts
    layout: Layout | None = None
    #: it asked for ``logs`` frames
    log: bool = False
    #: closes the connection politely: the gateway stops, or the key has ended
    close: Callable[[], None] = lambda: None
    #: digest of the key that it was opened with; empty where none is asked for
    key: str = ""
    _turns: Turns = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._turns = Turns(self.outbox.put)

    def put(self, frame: Frame, job: str = "", *, last: bool = False, own: bool = True) -> None:
        """Send a frame; one of a job in its turn, where the client cannot follow several.

        Args:
            frame: what is to be said.
            job: of which it is said; empty: of none.
            last: nothing more will be said of it.
            own: the job named this client.
        """
        if self.layout is None and job:
            self._turns.put(frame, job, last=last, own=own)
        else:
            self.outbox.put(frame)

    def put_count(self, frame: Frame) -> None:
        """Send a count, not before the client has heard of what it counts."""
        if self.layout is None:
            self._turns.put_count(frame)
        else:
            self.outbox.put(frame)

    def ending(self, job: str) -> None:
        """A job has ended, of which the last is still to be said."""
        self._turns.ending(job)

    def give_up(self, job: str) -> None:
        """A job went back to the queue: nobody waits for it."""
        self._turns.give_up(job)

    def flush(self) -> None:
        """Send what was held back: the client can follow, or nothing of its user's runs."""
        self._turns.flush()


@dataclass(slots=True)
class _PendingStatus:
    remaining: int
    timer: Timer


class Hub:
    """Hands frames to the sockets they are meant for; never waits for a client.

    Args:
        later: ``call_later`` of the event loop; tests own the clock.
    """

    def __init__(
        self, *, later: Callable[[float, Callable[[], None]], Timer] = _call_later
    ) -> None:
        self._later = later
        self._sockets: dict[str, set[ClientSocket]] = {}
        self._pending: dict[str, _PendingStatus] = {}
        #: users whose sockets were last told a count above 0
        self._busy: set[str] = set()
        self._listeners: list[Callable[[], None]] = []
        self._on_declare: list[Callable[[ClientSocket], None]] = []
        self._greetings: list[Greeting] = []
        #: set once what happens is followed: a socket that joins sooner could miss an end
        self.followed = asyncio.Event()
        #: set once the other gateways can know of this one
        self.announced = asyncio.Event()
        #: waits until what has ended by now was shown to the user's sockets here: one that
        #: joins sooner would be told again of an end that it heard at another gateway. Set
        #: by who follows what happens.
        self.past_is_shown: Callable[[str], Awaitable[None]] = _nothing_to_show

    @property
    def users(self) -> frozenset[str]:
        """Users who have at least one socket here."""
        return frozenset(self._sockets)

    @property
    def sockets(self) -> list[ClientSocket]:
        """All sockets open here."""
        return [socket for sockets in self._sockets.values() for socket in sockets]

    @property
    def declared(self) -> frozenset[tuple[str, str]]:
        """User and client id of all sockets whose client has declared what it understands."""
        return frozenset(
            (socket.user, socket.client_id) for socket in self.sockets if socket.layout is not None
        )

    def on_declare(self, listener: Callable[[ClientSocket], None]) -> None:
        """Call ``listener`` whenever a client has declared what it understands."""
        self._on_declare.append(listener)

    def declare(self, socket: ClientSocket, layout: Layout) -> None:
        """A client said what it understands."""
        socket.flush()
        socket.layout = layout
        for listener in self._on_declare:
            listener(socket)

    def on_users_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``users`` has changed."""
        self._listeners.append(listener)

    def on_join(self, greeting: Greeting) -> None:
        """Ask ``greeting`` too what a socket that has just come should be told."""
        self._greetings.append(greeting)

    def hears(self, user: str, client_id: str) -> bool:
        """Whether a socket of this client is open here."""
        return any(True for _ in self._meant(user, client_id))

    def join(self, socket: ClientSocket) -> None:
        """From now on the socket hears what is meant for it, first what it has missed."""
        new = socket.user not in self._sockets
        self._sockets.setdefault(socket.user, set()).add(socket)
        for greeting in self._greetings:
            for job, message in greeting(socket.user, socket.client_id):
                socket.put(text_frame(message, job), job, last=is_last(message))
        if new:
            self._tell()

    def leave(self, socket: ClientSocket) -> None:
        """The socket is gone; calling twice does no harm."""
        mine = self._sockets.get(socket.user)
        if mine is None:
            return
        mine.discard(socket)
        if not mine:
            del self._sockets[socket.user]
            self._drop_pending(socket.user)
            self._busy.discard(socket.user)
            self._tell()

    def send(
        self, user: str, client_id: str | None, message: Mapping[str, Any], job: str = ""
    ) -> None:
        """Send a JSON message of a job to the sockets that follow it."""
        frame: Frame | None = None
        for socket in self._meant(user, client_id):
            frame = frame or text_frame(message, job)
            socket.put(frame, job, last=is_last(message), own=client_id is not None)

    def send_binary(
        self, header: LiveHeader, payload: bytes | memoryview, *, only_declared: bool = False
    ) -> None:
        """Send an image or text of a job, in the layout each client declared.

        ``only_declared`` passes over clients that declared nothing: it is no frame of
        ComfyUI's, and most scripts take any binary frame for an image.
        """
        made: dict[Layout, Frame] = {}
        for socket in self._meant(header.user, header.client_id):
            if socket.layout is None and only_declared:
                continue
            told = socket.layout or _NOTHING_DECLARED
            if told not in made:
                made[told] = binary_frame(header, payload, told)
            socket.put(made[told], header.job, own=header.client_id is not None)

    def ending(self, user: str, client_id: str | None, job: str) -> None:
        """A job has ended; its last words follow."""
        for socket in self._meant(user, client_id):
            socket.ending(job)

    def requeued(self, user: str, client_id: str | None, job: str) -> None:
        """A job went back to the queue, where it may be for long: others are told as they run."""
        for socket in self._meant(user, client_id):
            socket.give_up(job)

    def at_rest(self, user: str) -> None:
        """Nothing of the user's is left to run: what still waits for its turn waits in vain."""
        for socket in self._meant(user, None):
            socket.flush()

    def want_log(self, user: str, client_id: str, *, wanted: bool) -> None:
        """Let the client's sockets hear the user's log, or no longer."""
        for socket in self._meant(user, client_id):
            socket.log = wanted

    def clients(self, user: str) -> frozenset[str]:
        """The client ids of the user's sockets here."""
        return frozenset(socket.client_id for socket in self._meant(user, None))

    def send_log(self, user: str, entry: Mapping[str, str]) -> None:
        """Send a line to the user's sockets that asked for the log."""
        frame: Frame | None = None
        for socket in self._meant(user, None):
            if socket.log:
                data = {"entries": [entry], "size": None}
                frame = frame or text_frame({"type": "logs", "data": data})
                socket.outbox.put(frame)

    def status(self, user: str, remaining: int) -> None:
        """Tell the user's sockets the count soon: the newest of a burst, a final 0 at once."""
        if user not in self._sockets:
            return
        if remaining == 0:
            self.status_now(user, 0)
            return
        pending = self._pending.get(user)
        if pending is not None:
            pending.remaining = remaining
            return
        timer = self._later(_STATUS_PAUSE_S, lambda: self._send_pending(user))
        self._pending[user] = _PendingStatus(remaining, timer)

    def show_risen(self, user: str) -> None:
        """Tell a count that waits to be told, where the last one was 0: it is about to fall.

        A prompt may take no longer than the pause, and some clients wait to see the count rise
        before they believe that it has fallen.
        """
        pending = self._pending.get(user)
        if pending is not None and user not in self._busy:
            self.status_now(user, pending.remaining)

    def status_now(self, user: str, remaining: int) -> None:
        """Tell the user's sockets the count, in its place among the other frames."""
        self._drop_pending(user)
        if remaining:
            self._busy.add(user)
        else:
            self._busy.discard(user)
        frame = status(remaining)
        for socket in self._meant(user, None):
            socket.put_count(frame)

    def close(self) -> None:
        """Close all sockets, as the gateway stops."""
        for socket in self.sockets:
            socket.close()

    def _meant(self, user: str, client_id: str | None) -> Iterator[ClientSocket]:
        # a copy: giving up on a socket inside ``put`` takes it out of the set
        for socket in tuple(self._sockets.get(user, ())):
            if client_id is None or socket.client_id == client_id:
                yield socket

    def _send_pending(self, user: str) -> None:
        pending = self._pending.get(user)
        if pending is not None:
            self.status_now(user, pending.remaining)

    def _drop_pending(self, user: str) -> None:
        pending = self._pending.pop(user, None)
        if pending is not None:
            pending.timer.cancel()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
