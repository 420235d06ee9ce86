"""The books of one pool in memory: the same transitions as the Lua scripts, without a server.

For tests and for the simulator, which drives them directly through hundreds of thousands
of jobs. Split by who calls, as the Redis ledger: ``memory_submit``, ``memory_lists``,
``memory_plan``, ``memory_house``, ``memory_agent``, ``memory_report``, ``memory_files``; below
them ``memory_base`` (state and shared steps), ``memory_records``, ``memory_turns`` and
``memory_stream``. ``memory_ledger`` is the same behind the ``Ledger`` protocol.
"""

from __future__ import annotations

from scheduler.memory_agent import BooksAgent
from scheduler.memory_files import BooksFiles
from scheduler.memory_house import BooksHouse
from scheduler.memory_lists import BooksLists
from scheduler.memory_report import BooksReport
from scheduler.memory_submit import BooksSubmit


class Books(BooksSubmit, BooksLists, BooksHouse, BooksAgent, BooksReport, BooksFiles):
    """All of them."""
