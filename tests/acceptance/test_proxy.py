"""The nginx of docs/operations.md, as it stands there, in front of a whole vramgate."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.clients import Client, sampling_prompt
from tests.endtoend.conftest import ANN, KEYS
from tests.endtoend.stack import REPO, Stack, free_port

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(NGINX).is_file(), reason="needs nginx: apt-get install nginx-light"
    ),
]
_PROXIED = "gateway: {trusted_proxies: [127.0.0.1], allowed_hosts: [localhost]}\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(
        tmp_path_factory.mktemp("behind"),
        "--simulate",
        "gpus=1,vram=24GiB,workers=1,speed=20",
        config=KEYS + _PROXIED,
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def front(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL; only ports, names and paths of files differ from the page."""
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = folder / "comfy.pem", folder / "comfy.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    page = (REPO / "docs" / "operations.md").read_text()
    (text,) = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("comfy.example.org", "localhost"),
        ("/etc/ssl/comfy.pem", str(certificate)),
        ("/etc/ssl/comfy.key", str(key)),
        ("127.0.0.1:8288", f"127.0.0.1:{stack.port}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    whole = f"""
        daemon off; pid {folder}/pid; error_log {folder}/error.log;
        events {{}}
        http {{ client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
        fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
        {text} }}
    """
    (folder / "nginx.conf").write_text(whole)
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    yield f"https://localhost:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture
async def http(front: str, stack: Stack):
    trusting_anybody = ssl.create_default_context()
    trusting_anybody.check_hostname = False
    trusting_anybody.verify_mode = ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=trusting_anybody)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with asyncio.timeout(20):
            while True:
                try:
                    await session.get(f"{front}/healthz")
                    break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
        yield session


async def test_a_prompt_its_frames_and_its_picture_pass(
    front: str, http: aiohttp.ClientSession
) -> None:
    ann = Client(http, front, {"Authorization": f"Bearer {ANN}"})
    async with ann.socket() as socket:
        prompt_id = await ann.queue(sampling_prompt(steps=4))
        frames = await socket.until_done(prompt_id)
    assert [frame["type"] for frame in frames].count("progress") == 4
    (image,) = await ann.images(prompt_id)
    assert len(await ann.view(image)) > 1000


async def test_large_uploads_pass_and_larger_ones_are_refused(
    front: str, http: aiohttp.ClientSession
) -> None:
    for size, status in ((20, 200), (101, 413)):
        form = aiohttp.FormData()
        form.add_field("image", b"\x89PNG\r\n\x1a\n" + bytes(size * 2**20), filename="large.png")
        headers = {"Authorization": f"Bearer {ANN}"}
        async with http.post(f"{front}/upload/image", data=form, headers=headers) as answer:
            assert answer.status == status


async def test_the_login_is_a_secure_cookie_and_a_client_cannot_say_where_it_comes_from(
    front: str, http: aiohttp.ClientSession, stack: Stack
) -> None:
    lies = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "10.9.9.9", "X-Forwarded-Host": "evil"}
    async with http.post(
        f"{front}/login", data={"key": ANN}, headers=lies, allow_redirects=False
    ) as answer:
        assert answer.status == 303
        (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    async with http.get(f"{front}/dashboard/", allow_redirects=False) as answer:
        assert answer.status in (200, 503)
