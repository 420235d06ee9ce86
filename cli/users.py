"""``vramgate users``: who may come in, and their keys. Takes effect at once, without a restart."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from cli.boot import connect_ledger, redis_url
from cli.errors import CliError, UsageError
from cli.forget import forget
from cli.listening import url_of
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.runstate import read_state
from config.checks import is_loopback
from config.loading import name_problem
from config.overrides import Person, people
from config.problems import did_you_mean
from config.settings import AuthMode, Role, Settings, User
from scheduler.ledger import Ledger, LedgerUnavailable

app = typer.Typer(
    invoke_without_command=True,
    help="Who may come in, and their keys. Changes take effect at once, without a restart.\n\n"
    "Keys are kept as hashes and shown once, when they are made. Users of the config file are "
    "listed too; what is changed here outranks the file.",
)
app.command()(forget)
T = TypeVar("T")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON (docs/api.md).")]


@app.callback()
def users(
    context: typer.Context,
    as_json: AsJson = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """See the group's own help."""
    if context.invoked_subcommand is None:
        list_users(as_json, config, data_dir)


@app.command("list")
def list_users(
    as_json: AsJson = False, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """List users, their groups and roles, and how they come in. No keys are shown.

    [bold]Example[/bold]: vramgate users list --config vramgate.yaml
    """
    ground = read_ground(config, data_dir)
    settings = ground.source.current()
    found = _with_ledger(ground, lambda ledger: all_people(ledger, settings))
    if as_json:
        told = {"auth": settings.auth.mode.value, "users": [_told(one) for one in found.values()]}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    if not found:
        print("no users yet; vramgate users add NAME makes one")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "group", "role", "key", "personal URL", "no key from", "from", box=None)
    for person in found.values():
        user = person.user
        state = "revoked" if person.revoked else "yes" if person.has_key else "none"
        personal = "yes" if person.has_url_key and not person.revoked else ""
        source = "added" if person.added else "file"
        places = "" if person.revoked else _places(user)
        table.add_row(user.name, user.group, user.role.value, state, personal, places, source)
    Console().print(table)
    if settings.auth.mode is AuthMode.OPEN:
        print("auth.mode is open: keys are not asked for (set auth.mode: keys in the config file)")


def _told(person: Person) -> dict[str, Any]:
    """A user as JSON: how one comes in, never a key or its digest."""
    user = person.user
    return {
        "name": user.name,
        "group": user.group,
        "role": user.role.value,
        "revoked": person.revoked,
        "has_key": person.has_key and not person.revoked,
        "has_personal_url": person.has_url_key and not person.revoked,
        "port": None if person.revoked else user.port,
        "networks": [] if person.revoked else list(user.networks),
        "from": "added" if person.added else "file",
    }


@app.command()
def add(
    name: NameArgument,
    group: Annotated[str, typer.Option(help="Team whose share is used.")] = "default",
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.ARTIST,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Add a user and print the key, once.

    [bold]Example[/bold]: vramgate users add anna --group film --role admin
    """
    for word, what in ((name, "name"), (group, "group")):
        if (problem := name_problem(word)) is not None:
            raise UsageError(f"{what} {word!r}: {problem}")
    ground = read_ground(config, data_dir)

    async def work(ledger: Ledger) -> str:
        known = await all_people(ledger, ground.source.current())
        if name in known and not known[name].revoked:
            raise CliError(f"{name} exists; `vramgate users rotate {name}` makes a new key")
        from gateway.keys import hash_key, mint_key

        key = mint_key()
        record = {"name": name, "group": group, "role": role.value, "key_hash": hash_key(key)}
        await ledger.override(
            {
                f"users.{name}": json.dumps(record),
                f"users.{name}.key_hash": None,
                f"users.{name}.url_key_hash": None,
                f"users.{name}.revoked": None,
            }
        )
        return key

    _show_key(name, "key", _with_ledger(ground, work))
    _hint_open(ground)


@app.command()
def rotate(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Give a user a new key and print it, once; the old key and its sessions end.

    The personal URL has a key of its own and stays; `vramgate users url NAME` replaces it.

    [bold]Example[/bold]: vramgate users rotate anna
    """
    ground = read_ground(config, data_dir)

    async def work(ledger: Ledger) -> str:
        await person_of(ledger, ground.source.current(), name)
        from gateway.keys import hash_key, mint_key

        key = mint_key()
        await ledger.override(
            {f"users.{name}.key_hash": json.dumps(hash_key(key)), f"users.{name}.revoked": None}
        )
        return key

    _show_key(name, "key", _with_ledger(ground, work))


@app.command()
def revoke(name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Lock a user out: key, personal URL, sessions and open sockets end, at every gateway.

    The user's own port and networks let nobody in either. `rotate` lets the user in again.

    [bold]Example[/bold]: vramgate users revoke anna
    """
    ground = read_ground(config, data_dir)

    async def work(ledger: Ledger) -> None:
        await person_of(ledger, ground.source.current(), name)
        # the personal URL goes for good: a later `rotate` is about the key alone
        await ledger.override({f"users.{name}.revoked": "true", f"users.{name}.url_key_hash": '""'})

    _with_ledger(ground, work)
    print(f"{name} is locked out; jobs already queued still run (cancel them in the dashboard)")


@app.command("url")
def personal_url(
    name: NameArgument, config: ConfigOption = None, data_dir: DataDirOption = None
) -> None:
    """Make a personal URL, for clients that take a URL and no key, and print it, once.

    It holds a key of its own; one made earlier for the same user ends. Its host is that of
    gateway.advertise, else the first of gateway.allowed_hosts, else the listening address.

    [bold]Example[/bold]: vramgate users url anna
    """
    ground = read_ground(config, data_dir)
    base = base_url(ground)

    async def work(ledger: Ledger) -> str:
        person = await person_of(ledger, ground.source.current(), name)
        if person.revoked:
            raise CliError(f"{name} is locked out; `vramgate users rotate {name}` first")
        return await put_url_key(ledger, name, base)

    _show_key(name, "personal URL", _with_ledger(ground, work))
    _hint_open(ground)
    _hint_loopback(ground, base)


@app.command("hash")
def hash_of_key() -> None:
    """Print the hash of a key, for `key_hash` in the config file; the key is read from stdin.

    [bold]Example[/bold]: vramgate users hash < key.txt
    """
    if sys.stdin.isatty():
        from getpass import getpass

        key = getpass("Key (not shown): ")
    else:
        key = sys.stdin.readline()
    key = key.strip()
    if len(key) < 8:
        raise UsageError("a key has at least 8 characters; `vramgate users add` mints a good one")
    from gateway.keys import hash_key

    print(hash_key(key))


# ── what the commands share ──────────────────────────────────────────────────


@asynccontextmanager
async def open_ledger(settings: Settings, url: str) -> AsyncIterator[Ledger]:
    """The ledger for a short while."""
    ledger = connect_ledger(settings, url)
    try:
        yield ledger
    finally:
        await ledger.close()


async def all_people(ledger: Ledger, settings: Settings) -> dict[str, Person]:
    """Users of the file and those added since."""
    _, overrides = await ledger.overrides()
    return people(settings.users, overrides)


async def person_of(ledger: Ledger, settings: Settings, name: str) -> Person:
    """One user.

    Raises:
        CliError: there is none of that name.
    """
    known = await all_people(ledger, settings)
    if name not in known:
        raise CliError(f"no user {name!r}{did_you_mean(name, known)}")
    return known[name]


async def put_url_key(ledger: Ledger, name: str, base: str) -> str:
    """Mint the key of a personal URL in place of an earlier one; the URL."""
    from gateway.keys import hash_key, mint_key

    key = mint_key()
    await ledger.override({f"users.{name}.url_key_hash": json.dumps(hash_key(key))})
    return f"{base}/k/{key}/"


def base_url(ground: Ground) -> str:
    """Where clients reach the gateway: as configured, as running, or by host and port."""
    settings = ground.source.current().gateway
    if settings.advertise:
        return settings.advertise.rstrip("/")
    state = read_state(ground.data_dir)
    here = state.gateway if state is not None else url_of(settings.host, settings.port)
    if settings.allowed_hosts and not is_loopback(settings.host):
        name = settings.allowed_hosts[0]
        return f"http://{name}" if ":" in name else f"http://{name}:{urlsplit(here).port}"
    return here


def _with_ledger(ground: Ground, work: Callable[[Ledger], Coroutine[Any, Any, T]]) -> T:
    settings = ground.source.current()
    url = redis_url(settings, ground.data_dir)

    async def run() -> T:
        async with open_ledger(settings, url) as ledger:
            return await work(ledger)

    try:
        return asyncio.run(run())
    except LedgerUnavailable as error:
        raise CliError(f"nothing was changed: {error}") from error


def _show_key(name: str, what: str, value: str) -> None:
    """The value alone on stdout, so that it can be piped; words on stderr."""
    print(f"{what} of {name}, shown this once:", file=sys.stderr)
    print(value)


def _places(user: User) -> str:
    """From where the user is known without a key."""
    port = () if user.port is None else (f"port {user.port}",)
    return ", ".join((*port, *user.networks))


def _hint_open(ground: Ground) -> None:
    if ground.source.current().auth.mode is AuthMode.OPEN:
        print(
            "auth.mode is open: keys are not asked for until the config file says auth.mode: keys",
            file=sys.stderr,
        )


def _hint_loopback(ground: Ground, base: str) -> None:
    """The gateway listens on all addresses, and its URL names the one that others cannot use."""
    if is_loopback(urlsplit(base).hostname or "") and not is_loopback(
        ground.source.current().gateway.host
    ):
        print(
            "other machines need this one's name in place of the loopback address: "
            "set gateway.advertise, for example http://gpubox:8288",
            file=sys.stderr,
        )


def read_overrides(ground: Ground) -> dict[str, str]:
    """All overrides in force: dotted path → JSON text."""

    async def work(ledger: Ledger) -> dict[str, str]:
        return dict((await ledger.overrides())[1])

    return _with_ledger(ground, work)
