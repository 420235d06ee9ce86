"""Configuration: mistakes are found with their place, and later sources win."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.checks import is_loopback
from config.loading import FILE_NAME, Option, find_file, load
from config.problems import ConfigError
from config.settings import AuthMode


def write(folder: Path, text: str) -> Path:
    file = folder / FILE_NAME
    file.write_text(text)
    return file


def problems_of(file: Path | None, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ)
    return [str(problem).replace(f"{file}:", "") for problem in caught.value.problems]


MISTAKES = {
    "unknown key in a section": (
        "gateway:\n  prot: 1\n",
        ["2: gateway.prot: unknown key; did you mean `port`?"],
    ),
    "unknown section": (
        "gatway:\n  port: 1\n",
        ["1: gatway: unknown key; did you mean `gateway`?"],
    ),
    "unknown key in a list": (
        "users:\n  - name: anna\n    rol: admin\n",
        ["3: users[0].rol: unknown key; did you mean `role`?"],
    ),
    "a word that is no choice": (
        "auth:\n  mode: kyes\n",
        ["2: auth.mode: 'kyes' is none of: keys, open; did you mean `keys`?"],
    ),
    "a value out of range": (
        "gateway:\n  host: 127.0.0.1\n  port: 70000\n",
        ["3: gateway.port: Input should be less than or equal to 65535"],
    ),
    "no size": (
        "admission:\n  safety_min: 24GOB\n",
        ["2: admission.safety_min: '24GOB' is no size; write for example 24GiB, 512MiB or 1000000"],
    ),
    "a section that is a value": (
        "redis: 5\n",
        ["1: redis: must be a section with keys of its own"],
    ),
    "a list that is a section": (
        "groups:\n  film: 3\n",
        ["1: groups: must be a list; begin each item with `- `"],
    ),
    "a missing name": ("users:\n  - group: film\n", ["2: users[0].name: is missing"]),
    "a key twice": (
        "gateway:\n  port: 1\ngateway:\n  port: 2\n",
        ["3: gateway: is already set on line 1; keep one of them"],
    ),
    "no YAML": (
        "gateway: [1\nport: 2\n",
        ["2: no valid YAML: expected ',' or ']', but got ':'"],
    ),
    "no mapping": ("- 1\n", ["1: the file must hold sections, for example `gateway:`"]),
    "no key hash": (
        "users:\n  - name: anna\n    key_hash: secret-word\n",
        ["3: users[0].key_hash: no key hash; `vramgate users hash` makes one from a key"],
    ),
    "an alias that names itself": (
        "gateway: &a\n  port: *a\n",
        ["1: " + "gateway" + ".port" * 20 + ": nested too deeply; does an alias name itself?"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_line_its_path_and_a_way_out(
    name: str, tmp_path: Path
) -> None:
    text, expected = MISTAKES[name]
    assert problems_of(write(tmp_path, text)) == expected


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "log:\n  level: loud\nusers:\n  - name: anna\n    weight: 0\nfoo: 1\n"
    assert [line.split(":")[0] for line in problems_of(write(tmp_path, text))] == ["2", "5", "6"]


def test_a_secret_that_is_refused_is_not_repeated(tmp_path: Path) -> None:
    text = "users:\n  - name: anna\n    key: hunter2\n"
    assert problems_of(write(tmp_path, text)) == [
        "3: users[0].key: String should have at least 8 characters"
    ]


def test_open_auth_is_refused_beyond_loopback_and_says_what_to_do(tmp_path: Path) -> None:
    [problem] = problems_of(write(tmp_path, "gateway:\n  host: 0.0.0.0\n"))
    assert problem.startswith("2: gateway.host: `auth.mode: open` lets in whoever reaches 0.0.0.0")
    assert "vramgate users add NAME" in problem
    keyed = write(tmp_path, "auth: {mode: keys}\ngateway:\n  host: 0.0.0.0\n")
    assert load(keyed, environ={}).settings.auth.mode is AuthMode.KEYS


def test_a_frontend_that_would_never_be_shown_is_refused(tmp_path: Path) -> None:
    text = "gateway:\n  frontend: worker\n  frontend_root: ui\n"
    assert problems_of(write(tmp_path, text)) == [
        "3: gateway.frontend_root: `gateway.frontend: worker` never shows it: "
        "leave one of the two out"
    ]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("render.studio", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_later_sources_win_and_each_value_knows_where_it_is_from(tmp_path: Path) -> None:
    file = write(tmp_path, "gateway:\n  port: 1000\n  max_body: 1MiB\nlog:\n  level: debug\n")
    loaded = load(
        file,
        environ={"VRAMGATE_GATEWAY__PORT": "2000", "VRAMGATE_LOG__LEVEL": "error"},
        options=[Option("gateway.port", 3000, "--port")],
    )
    settings = loaded.settings
    assert (settings.gateway.port, settings.log.level) == (3000, "error")
    assert settings.gateway.max_body == 2**20
    assert loaded.origins["gateway.port"] == "--port"
    assert loaded.origins["log.level"] == "VRAMGATE_LOG__LEVEL"
    assert loaded.origins["gateway.max_body"] == f"{file}:3"
    assert "gateway.host" not in loaded.origins


def test_lists_come_from_the_environment_as_json() -> None:
    loaded = load(None, environ={"VRAMGATE_USERS": '[{"name": "anna", "weight": 2}]'})
    assert loaded.settings.users[0].weight == 2
    assert problems_of(None, VRAMGATE_USERS="[{]")[0].startswith("VRAMGATE_USERS: users: no valid")


def test_a_secret_comes_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "redis"
    secret.write_text("redis://elsewhere/1\n")
    loaded = load(None, environ={"VRAMGATE_REDIS__URL_FILE": str(secret)})
    assert loaded.settings.redis.url == "redis://elsewhere/1"


def test_a_setting_whose_name_ends_in_file_is_not_taken_for_a_secret(tmp_path: Path) -> None:
    loaded = load(None, environ={"VRAMGATE_CLUSTER__TOKEN_FILE": str(tmp_path / "token")})
    assert loaded.settings.cluster.token_file == tmp_path / "token"
    assert loaded.settings.cluster.token is None


@pytest.mark.parametrize(
    ("variable", "suggested"),
    [
        ("VRAMGATE_GATEWAY__PROT", "`VRAMGATE_GATEWAY__PORT`"),
        ("VRAMGATE_GATEWAY_PORT", "`VRAMGATE_GATEWAY__PORT`"),
        ("VRAMGATE_QQQ__ZZZ", "`vramgate config reference`"),
    ],
)
def test_an_unknown_variable_is_refused_with_a_suggestion(variable: str, suggested: str) -> None:
    [problem] = problems_of(None, **{variable: "1"})
    assert problem.startswith(f"{variable}: no setting has this name")
    assert suggested in problem


def test_a_stranger_s_variable_is_left_alone() -> None:
    assert load(None, environ={"VRAMGATE_HOME": "/srv"}).origins == {}


def test_a_bad_option_names_the_option() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ={}, options=[Option("gateway.port", "x", "--port")])
    assert str(caught.value).startswith("--port: gateway.port: ")


def test_relative_paths_start_at_the_file_s_folder(tmp_path: Path) -> None:
    text = "data_dir: data\nagent:\n  comfyui:\n    path: /opt/ComfyUI\n"
    text += "gateway:\n  frontend_root: ui\n"
    settings = load(write(tmp_path, text), environ={}).settings
    assert settings.data_dir == tmp_path / "data"
    assert settings.gateway.frontend_root == tmp_path / "ui"
    assert settings.agent.comfyui.path == Path("/opt/ComfyUI")


def test_an_empty_section_is_no_mistake(tmp_path: Path) -> None:
    assert load(write(tmp_path, "gateway:\n"), environ={}).settings.gateway.port == 8288


def test_the_file_is_found_in_the_named_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, data, other = tmp_path / "here", tmp_path / "data", tmp_path / "other"
    for folder in (here, data, other):
        folder.mkdir()
    monkeypatch.chdir(here)
    environ = {"VRAMGATE_DATA_DIR": str(data)}
    assert find_file(None, environ) is None
    in_data = write(data, "")
    assert find_file(None, environ) == in_data
    write(here, "")
    assert find_file(None, environ) == Path(FILE_NAME)
    named = write(other, "")
    assert find_file(None, {**environ, "VRAMGATE_CONFIG": str(named)}) == named
    with pytest.raises(ConfigError, match="there is no such file"):
        find_file(tmp_path / "nowhere.yaml", environ)


def test_every_file_that_the_config_file_names_lies_beside_it(tmp_path: Path) -> None:
    for name in ("ca.pem", "token", "secret"):
        (tmp_path / name).write_text("x" * 20)
    file = write(
        tmp_path,
        "cluster: {ca: ca.pem, token_file: token}\n"
        "agent: {tls_cert: ca.pem, tls_key: ca.pem}\n"
        "metrics: {token_file: token}\n"
        "sinks: {influx: {url: 'http://i', bucket: b, token_file: token}}\n"
        "alerts:\n"
        "  smtp: {host: mail, ca: ca.pem}\n"
        "  webhooks: [{name: ops, url: 'https://hook', secret_file: secret}]\n",
    )
    settings = load(file, environ={}).settings
    found = [
        settings.cluster.ca,
        settings.cluster.token_file,
        settings.agent.tls_cert,
        settings.agent.tls_key,
        settings.metrics.token_file,
        settings.sinks.influx.token_file,
        settings.alerts.smtp.ca,
        settings.alerts.webhooks[0].secret_file,
    ]
    assert {path.parent for path in found if path is not None} == {tmp_path}
    assert None not in found
