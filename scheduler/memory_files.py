"""Names of outputs in the users' spaces, in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from scheduler.bookkeeping import own_folder
from scheduler.ledger_values import FileRecord
from scheduler.memory_base import BooksBase
from scheduler.memory_records import UserRecord

_COUNTED: Final = re.compile(r"^(.*_)(\d+)(_?\.[^.]*)$", re.DOTALL)
_EXTENSION: Final = re.compile(r"^(.+)(\.[^.]*)$", re.DOTALL)


def split_counter(filename: str) -> tuple[str, int, str]:
    """``x_00001_.png`` → ``x_``, 1, ``_.png``; a name without a counter gets one, as ComfyUI's."""
    if counted := _COUNTED.match(filename):
        return counted[1], int(counted[2]), counted[3]
    parts = _EXTENSION.match(filename)
    stem, extension = (parts[1], parts[2]) if parts else (filename, "")
    return f"{stem}_", 0, f"_{extension}"


def forget_file(user: UserRecord, job_id: str, field: str) -> None:
    """Drop an output's record, unless another job has named it since."""
    found = user.files.get(field)
    if found is None or found[2] != job_id:
        return
    record = user.files.pop(field)[0]
    user.origins.pop(_origin(record), None)
    folder, _, name = field.rpartition("/")
    head, number, tail = split_counter(name)
    trimmed = f"!{folder}/{head}*{tail}"
    user.counters[trimmed] = max(number, user.counters.get(trimmed, -1))


class BooksFiles(BooksBase):
    """The parts of ``AgentSide`` and ``SubmitSide`` about outputs."""

    namings = 0

    def name_files(
        self,
        user: str,
        agent: str,
        worker: str,
        files: Sequence[tuple[str, str, str]],
        *,
        job_id: str = "",
    ) -> list[FileRecord]:
        """Give outputs ``(type, worker_subfolder, worker_filename)`` names in the user's space."""
        owner = self.user(user)
        named = []
        # newest first means: the last call's first, within a call its last
        for type_, subfolder, filename in files:
            folder = own_folder(user, subfolder)
            origin = (agent, worker, type_, subfolder, filename)
            name = owner.origins.get(origin)
            if name is None:
                name = self._free_name(owner, f"{type_}/{folder}/", filename)
                owner.origins[origin] = name
            record = FileRecord(
                type=type_,
                subfolder=folder,
                filename=name,
                agent=agent,
                worker=worker,
                worker_subfolder=subfolder,
                worker_filename=filename,
            )
            field = f"{type_}/{folder}/{name}"
            self.namings += 1
            owner.files[field] = (record, self.namings, job_id)
            if job_id in self.records:
                self.records[job_id].outputs.add(field)
            named.append(record)
        return named

    def _free_name(self, owner: UserRecord, folder: str, filename: str) -> str:
        head, number, tail = split_counter(filename)
        counter = f"{folder}{head}*{tail}"
        highest = owner.counters.get(counter, 0)
        trimmed = owner.counters.get(f"!{counter}", -1)
        name = filename
        # A name whose record was trimmed still is that file's in the store.
        if number <= trimmed or folder + name in owner.files:
            number = max(highest, number, trimmed)
            while True:
                number += 1
                name = f"{head}{number:05d}{tail}"
                if folder + name not in owner.files:
                    break
        if number > highest:
            owner.counters[counter] = number
        return name

    def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None if no such file is theirs."""
        found = self.look_up(user).files.get(f"{type}/{subfolder}/{filename}")
        return None if found is None else found[0]

    def files(self, user: str, type: str) -> list[FileRecord]:
        """The user's outputs of one type (``output`` or ``temp``), newest first."""
        found = [entry for entry in self.look_up(user).files.values() if entry[0].type == type]
        found.sort(key=lambda entry: entry[1], reverse=True)
        return [record for record, _, _ in found]


def _origin(record: FileRecord) -> tuple[str, str, str, str, str]:
    return (
        record.agent,
        record.worker,
        record.type,
        record.worker_subfolder,
        record.worker_filename,
    )
