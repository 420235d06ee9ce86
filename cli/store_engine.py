"""The store as a command opens it: there, in this release's form, or one sentence about why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.boot import store_url
from cli.errors import CliError
from cli.options import Ground

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_MAGIC: Final = b"SQLite format 3\0"


def check_store(ground: Ground) -> str:
    """The store's URL, where there is one: a command that reads must not make an empty one.

    Raises:
        CliError: nothing was ever kept there, or the file is no database.
    """
    url = store_url(ground.source.current(), ground.data_dir)
    if ground.source.current().store.url is not None:
        return url
    file = ground.data_dir / "vramgate.db"
    try:
        begin = _beginning(file)
    except OSError as error:
        raise CliError(
            f"there is no store in {ground.data_dir} ({error.strerror}): name the folder of "
            "`vramgate up` with --data-dir, or set store.url in the config file"
        ) from error
    if begin not in (b"", _MAGIC):
        raise CliError(
            f"{file} is no database: move it away, and restore a backup (`vramgate restore`)"
        )
    return url


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC))


@asynccontextmanager
async def opened_store(ground: Ground, *, new: bool = False) -> AsyncIterator[AsyncEngine]:
    """The store's engine, its tables brought to this release's form.

    Args:
        ground: whose store.
        new: the pool is known to be there: a store that is not is made.

    Raises:
        CliError: there is none, it does not answer, or a newer release has changed it.
    """
    # what needs no store should not wait for these imports
    from sqlalchemy.exc import SQLAlchemyError

    from store.engine import open_engine
    from store.errors import StoreError
    from store.migrate import migrate

    settings = ground.source.current()
    engine = open_engine(store_url(settings, ground.data_dir) if new else check_store(ground))
    try:
        await migrate(engine)
        yield engine
    except StoreError as error:
        raise CliError(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise unread(error) from error
    finally:
        await engine.dispose()


def unread(error: Exception) -> CliError:
    """What to say of a store that fails; the class only, for a message may hold the password."""
    return CliError(
        f"the store cannot be read ({type(error).__name__}): see store.url, and whether its server "
        "runs; without store.url, whether the data folder may be written"
    )
