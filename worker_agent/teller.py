"""Tells what a worker says of one attempt to those who watch it, in the user's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from scheduler.live import LiveFrame, LiveHeader
from scheduler.states import Job
from scheduler.workflow.passed_pictures import PASSED
from worker_agent.frames import (
    BROADCAST,
    CLOSING,
    IMAGE,
    OURS,
    TEXT,
    Binary,
    Frame,
    Message,
    Progress,
)
from worker_agent.outputs import Outputs
from worker_agent.redact import redact_message
from worker_agent.services import Services, patiently
from worker_agent.tenancy import FileKey, Names, Schema, find_files, is_foreign

_log = structlog.get_logger(__name__)


def is_end(frame: Frame, attempt_uuid: str) -> bool:
    """Whether this frame says that the worker is done with the prompt."""
    return (
        isinstance(frame, Message)
        and frame.type == "executing"
        and frame.prompt_id == attempt_uuid
        and frame.data.get("node") is None
    )


def _is_flat(metadata: Mapping[str, Any] | None) -> bool:
    """Whether it holds words and figures only, as ComfyUI's own does."""
    return not any(isinstance(value, dict | list) for value in (metadata or {}).values())


class Teller:
    """One attempt's voice. ``tell`` each frame in order, then ``end``."""

    def __init__(
        self,
        services: Services,
        job: Job,
        names: Names,
        schema: Schema,
        outputs: Outputs,
        classes: Mapping[str, str],
        is_result: Callable[[], bool],
    ) -> None:
        """Speak for one attempt.

        Args:
            services: the agent's services.
            job: with attempt and worker filled in.
            names: both sides' names.
            schema: the worker's node classes.
            outputs: the worker's files.
            classes: node id → class of the prompt's nodes, as far as known.
            is_result: whether this worker's event 1 is a result, never a preview.
        """
        self._services = services
        self._job = job
        self._names = names
        self._schema = schema
        self._outputs = outputs
        self._is_result = is_result
        self._files: dict[FileKey, FileKey] = {}
        #: where files lie that were not made in the user's folder
        self._taken: dict[FileKey, FileKey] = {}
        #: closing messages so far, ``[type, data]``, user's names
        self.closing: list[list[Any]] = []
        #: the node that runs now, "" before the first
        self.node = ""
        self.classes = classes
        #: the frame of a message that is not taken apart
        self._bare = self._frame(None)
        #: metadata of the last preview, the node that ran, and what was said with it
        self._preview: tuple[Mapping[str, Any], str, LiveHeader] | None = None
        #: it waits for the ledger
        self._waits = False

    async def tell(self, frame: Frame) -> None:
        """Send one frame on, unless it is somebody else's or none of the user's business."""
        if not isinstance(frame, Message):
            self._tell_plain(frame)
        elif frame.type not in BROADCAST and frame.prompt_id in (None, self._names.attempt_uuid):
            self._waits = True
            await self._tell_message(frame)
            self._waits = False

    def tell_now(self, frame: Frame) -> bool:
        """Send a frame on at once where nothing has to be waited for; False: it was not sent.

        Nearly all frames of a prompt are such: a task of its own would cost more than they do.
        """
        if self._waits or isinstance(frame, Message):
            return False
        if isinstance(frame, Binary) and not self._is_known(frame) and not _is_flat(frame.metadata):
            return False  # a pack's own: what that breaks is to break its attempt alone
        self._tell_plain(frame)
        return True

    async def files(self, value: Any) -> dict[FileKey, FileKey]:
        """All outputs named so far and in ``value``: worker's names → user's, recorded."""
        new = [key for key in find_files(value) if key not in self._files]
        mine = [key for key in new if not is_foreign(self._job.user, key[1])]
        if len(mine) < len(new):
            _log.warning("foreign_output_named", job=self._job.id, user=self._job.user)
        if mine:
            written = [key for key in mine if key[0] != PASSED]
            self._taken |= await self._outputs.take(written, self._job.user, self._names.values)
            await self._name(mine)
        return self._files

    async def name_again(self) -> dict[FileKey, FileKey]:
        """Record all outputs named so far anew: a restarted server may have lost their names.

        Where it gave such a name to another file meanwhile, this one gets a new name.
        """
        if self._files:
            await self._name(list(self._files))
        return self._files

    def end(self) -> None:
        """Say that nothing more will come."""
        self._services.hub.end(self._frame(None, end=True))

    async def _name(self, outputs: list[FileKey]) -> None:
        job = self._job
        where = [self._taken.get(key, key) for key in outputs]
        records = await patiently(
            lambda: self._services.ledger.name_files(
                job.user, self._services.agent, job.worker, where, job_id=job.id
            ),
            "name_files",
        )
        for key, record in zip(outputs, records, strict=True):
            self._files[key] = (record.type, record.subfolder, record.filename)

    async def _tell_message(self, frame: Message) -> None:
        files = await self.files(frame.data) if frame.type == "executed" else self._files
        data = self._names.to_user(frame.data, files)
        if frame.type in CLOSING:
            self.closing.append([frame.type, redact_message(frame.type, data, self._job.user)])
            return
        if frame.type == "executing":
            if frame.data.get("node") is None:
                return
            self.node = str(frame.data["node"])
            # the frame that greets a reconnected socket names no prompt
            data.setdefault("prompt_id", self._names.prompt_id)
        self._services.hub.publish(self._frame({"type": frame.type, "data": data}))

    def _tell_plain(self, frame: Progress | Binary) -> None:
        if isinstance(frame, Binary):
            if self._services.hub.is_watched(self._job.user):
                self._tell_binary(frame)
        elif frame.prompt_id in (None, self._names.attempt_uuid):
            data = self._names.relayed(frame.data)
            # without a node it is a pack's own: it may say what the next frame is
            own = frame.type == "progress" and frame.node is None
            hub = self._services.hub
            hub.publish_progress(self._bare, frame.type, data, newest_wins=not own)

    def _tell_binary(self, frame: Binary) -> None:
        metadata, said = frame.metadata, self._preview
        if metadata is None:
            header = self._header(frame, None)
        elif said is not None and metadata is said[0] and self.node == said[1]:
            header = said[2]
        elif metadata.get("prompt_id") in (None, self._names.attempt_uuid):
            header = self._header(frame, self._names.to_user(metadata, {}))
            self._preview = (metadata, self.node, header)
        else:
            return
        self._services.hub.publish_binary(header, frame.payload)

    def _is_known(self, frame: Binary) -> bool:
        """Whether it says the same as the last preview that was told."""
        return self._preview is not None and frame.metadata is self._preview[0]

    def _header(self, frame: Binary, metadata: dict[str, Any] | None) -> LiveHeader:
        return LiveHeader(
            user=self._job.user,
            job=self._job.id,
            attempt=self._job.attempt,
            event=frame.event,
            prompt_id=self._names.prompt_id,
            client_id=self._job.client_id,
            image_type=frame.image_type,
            # a text that names no node is a pack's own word to its client, laid out as it is
            node=frame.node if frame.event == TEXT else frame.node or self.node,
            metadata=metadata,
            lossless=frame.event not in OURS or (frame.event == IMAGE and self._lossless()),
        )

    def _lossless(self) -> bool:
        schema = self._schema.get(self.classes.get(self.node, ""))
        return self._is_result() or (schema is not None and schema.output)

    def _frame(self, message: dict[str, Any] | None, *, end: bool = False) -> LiveFrame:
        return LiveFrame(
            user=self._job.user,
            job=self._job.id,
            attempt=self._job.attempt,
            client_id=self._job.client_id,
            message=message,
            end=end,
        )
