"""Commands as a person types them: what they print, and what they say when it cannot be."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from cli import errors
from cli.listening import listen, url_of
from cli.main import app
from cli.runstate import RunState, read_state, run_dir, write_state
from cli.services import child_environ
from cli.up import _options
from cli.worker_source import parse_worker, told
from config.loading import Option, load
from config.settings import Agent, Comfyui, WorkerUrl


def vramgate(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        input=stdin,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_gateway_does_not_start_without_the_frontend_it_was_given(tmp_path: Path) -> None:
    inner = tmp_path / "ui" / "package" / "static"
    inner.mkdir(parents=True)
    (inner / "index.html").write_text("<html>")
    file = tmp_path / "a.yaml"
    file.write_text("gateway: {frontend_root: ui, port: 0}\n")
    done = vramgate("gateway", "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 2
    assert f"gateway.frontend_root: there is no index.html in {tmp_path / 'ui'}" in done.stderr
    assert f"; {inner} has one" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_config_is_refused_with_all_its_mistakes_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("gateway: {prot: 1}\nlog: {level: loud}\n")
    done = vramgate("config", "check", str(file))
    assert done.returncode == 2
    assert f"{file}:1: gateway.prot: unknown key; did you mean `port`?" in done.stderr
    assert f"{file}:2: log.level: 'loud' is none of" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_tells_where_values_are_from_and_hides_secrets(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "users:\n  - {name: anna, key: my-secret-key}\n"
        "redis: {url: 'redis://me:hunter2@host/0'}\n"
        "cluster: {token: 0123456789abcdef0}\n"
    )
    done = vramgate(
        "config", "show", "--origin", "--config", str(file), VRAMGATE_GATEWAY__PORT="99"
    )
    assert done.returncode == 0, done.stderr
    lines = {line.partition(":")[0]: line for line in done.stdout.splitlines()}
    assert lines["gateway.port"].split() == [
        "gateway.port:",
        "99",
        "#",
        "VRAMGATE_GATEWAY__PORT",
    ]
    assert lines["users"].endswith(f"# {file}:1")
    assert lines["scheduler.window"].endswith("# default")
    for secret in ("my-secret-key", "hunter2", "0123456789abcdef0"):
        assert secret not in done.stdout


def test_the_hash_of_a_key_fits_the_config_file(tmp_path: Path) -> None:
    done = vramgate("users", "hash", stdin="a-long-key\n")
    file = tmp_path / "a.yaml"
    file.write_text(f"users:\n  - name: anna\n    key_hash: {done.stdout.strip()!r}\n")
    assert load(file, environ={}).settings.users[0].key_hash == done.stdout.strip()


def test_users_are_added_listed_and_locked_out_without_a_restart(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    environ = {"VRAMGATE_REDIS__URL": valkey_url, "VRAMGATE_REDIS__POOL": pool_name}

    def users(*arguments: str) -> subprocess.CompletedProcess[str]:
        return vramgate("users", *arguments, "--data-dir", str(tmp_path), **environ)

    first = users("add", "anna", "--group", "film", "--role", "admin")
    assert first.returncode == 0, first.stderr
    key = first.stdout.strip()
    assert len(key) >= 32
    again = users("add", "anna")
    assert (again.returncode, again.stdout) == (1, "")
    assert "users rotate anna" in again.stderr
    assert users("rotate", "anna").stdout.strip() != key
    url = users("url", "anna").stdout.strip()
    assert url.startswith("http://127.0.0.1:8288/k/")
    listed = users("list").stdout
    assert [word for word in listed.split() if word in ("anna", "film", "admin", "added")] == [
        "anna",
        "film",
        "admin",
        "added",
    ]
    assert key not in listed
    unknown = users("revoke", "ann")
    assert "did you mean `anna`" in unknown.stderr
    assert users("revoke", "anna").returncode == 0
    assert "revoked" in users("list").stdout


@pytest.mark.parametrize(
    ("gateway", "base", "hinted"),
    [
        (
            "{host: 0.0.0.0, port: 9000, advertise: 'https://gate.studio/'}",
            "https://gate.studio",
            False,
        ),
        ("{host: 0.0.0.0, port: 9000, allowed_hosts: [gpubox, gate]}", "http://gpubox:9000", False),
        ("{host: 0.0.0.0, allowed_hosts: ['gpubox:80']}", "http://gpubox:80", False),
        ("{host: 10.0.0.5, port: 9000}", "http://10.0.0.5:9000", False),
        ("{host: 0.0.0.0, port: 9000}", "http://127.0.0.1:9000", True),
    ],
)
def test_a_personal_url_has_the_host_that_clients_use(
    valkey_url: str, pool_name: str, tmp_path: Path, gateway: str, base: str, hinted: bool
) -> None:
    config = tmp_path / "vramgate.yaml"
    config.write_text(
        f"auth: {{mode: keys}}\ngateway: {gateway}\nusers:\n"
        "  - {name: anna, key: my-secret-key, port: 8301, networks: [10.1.2.0/24]}\n"
    )
    environ = {"VRAMGATE_REDIS__URL": valkey_url, "VRAMGATE_REDIS__POOL": pool_name}
    where = ("--config", str(config), "--data-dir", str(tmp_path))
    done = vramgate("users", "url", "anna", *where, **environ)
    assert done.stdout.startswith(f"{base}/k/"), done.stderr
    assert ("set gateway.advertise" in done.stderr) is hinted
    listed = vramgate("users", "list", *where, COLUMNS="200", **environ).stdout
    assert "port 8301, 10.1.2.0/24" in listed
    assert "my-secret-key" not in listed
    assert done.stdout.strip().rpartition("/k/")[2].strip("/") not in listed


def test_a_command_without_a_running_instance_says_how_to_start_one(tmp_path: Path) -> None:
    done = vramgate("users", "list", "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "Start `vramgate up` first" in done.stderr


def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.CliError, match=f"port {port} on 127.0.0.1 is in use.*--port"):
            listen("127.0.0.1", port)


def test_urls_are_written_for_this_machine() -> None:
    assert url_of("0.0.0.0", 8288) == "http://127.0.0.1:8288"
    assert url_of("::1", 8288) == "http://[::1]:8288"


@pytest.mark.parametrize(
    ("text", "worker"),
    [
        ("http://127.0.0.1:8188", {"url": "http://127.0.0.1:8188"}),
        ("http://127.0.0.1:8188/", {"url": "http://127.0.0.1:8188"}),
        ("http://gpu-1:8188@gpu3", {"url": "http://gpu-1:8188", "gpu": 3}),
    ],
)
def test_a_worker_is_a_url_and_perhaps_a_gpu(text: str, worker: dict[str, object]) -> None:
    assert parse_worker(text) == worker


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8188", "http://", "http://a:1@cuda0", "", "http://a:99999"]
)
def test_what_is_no_worker_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(errors.UsageError, match=re.escape("http://127.0.0.1:8188@gpu0")):
        parse_worker(text)


def test_naming_gpus_on_the_command_line_replaces_those_of_the_file() -> None:
    options = _options(
        host=None,
        port=0,
        gateways=None,
        workers=[],
        comfyui=None,
        workers_per_gpu=None,
        simulate="gpus=1",
    )
    agent = load(
        None,
        environ={"VRAMGATE_AGENT__WORKERS": '[{"url": "http://a"}]'},
        options=options,
    ).settings.agent
    assert (agent.simulate, agent.workers) == ("gpus=1", ())


def test_simulated_and_real_gpus_do_not_mix() -> None:
    with pytest.raises(errors.UsageError, match="instead of real GPUs"):
        _options(
            host=None,
            port=None,
            gateways=None,
            workers=["http://a"],
            comfyui=None,
            workers_per_gpu=None,
            simulate="gpus=1",
        )


def test_a_folder_without_comfyui_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no main"):
        _options(
            host=None,
            port=None,
            gateways=None,
            workers=[],
            comfyui=tmp_path,
            workers_per_gpu=None,
            simulate=None,
        )


def test_what_it_runs_on_is_told_in_words() -> None:
    assert told(Agent()) is None
    real = told(Agent(comfyui=Comfyui(path=Path("/opt/c"), workers_per_gpu=2)))
    assert real is not None
    assert real.words == "ComfyUI in /opt/c, 2 processes per GPU"
    url = told(Agent(workers=(WorkerUrl(url="http://a:1", gpu=0),)))
    assert url is not None
    assert url.words == "ComfyUI at http://a:1 (GPU 0)"
    simulated = told(Agent(simulate="gpus=1,vram=8GiB,workers=3,speed=10"))
    assert simulated is not None
    assert simulated.simulated
    assert simulated.words == (
        "a simulation: 1 GPU of 8 GiB, 3 workers on each, 10 times real speed"
    )


def test_options_reach_children_as_variables_they_read_back() -> None:
    options = [
        Option("agent.workers", [{"url": "http://a", "gpu": 1}], "--worker"),
        Option("agent.simulate", None, "--worker"),
        Option("gateway.port", 5, "--port"),
    ]
    environ = child_environ(options)
    settings = load(None, environ=environ).settings
    assert settings.agent.workers == (WorkerUrl(url="http://a", gpu=1),)
    assert (settings.agent.simulate, settings.gateway.port) == (None, 5)
    assert settings.log.format == "json"


def test_the_run_state_is_private_and_that_of_a_dead_process_is_none(tmp_path: Path) -> None:
    import os

    run_dir(tmp_path).mkdir()
    fields = {
        "gateway": "http://a",
        "dashboard": "http://a/dashboard/",
        "redis": "unix:///r",
        "store": "sqlite:///s",
        "runs_on": "nothing",
        "started": 1.0,
    }
    state = RunState(pid=os.getpid(), **fields)  # type: ignore[arg-type]
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert (run_dir(tmp_path) / "up.json").stat().st_mode & 0o777 == 0o600
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_state(tmp_path, RunState(pid=gone.pid, **fields))  # type: ignore[arg-type]
    assert read_state(tmp_path) is None


def test_the_version_is_told_by_word_and_by_option() -> None:
    assert vramgate("--version").stdout == vramgate("version").stdout != ""


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = vramgate("up", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "Name another with --data-dir" in done.stderr


def _words(command: object, before: tuple[str, ...] = ()) -> set[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return {" ".join(before)}
    return {word for name, one in inner.items() for word in _words(one, (*before, name))}


def test_the_page_of_commands_has_all_of_them_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    tables = page[page.index("| run it") :]
    told = set(re.findall(r"`([a-z ]+)`", tables))
    groups = {"alerts", "queue", "users"}  # they do something by themselves
    assert told - groups == _words(get_command(app))
