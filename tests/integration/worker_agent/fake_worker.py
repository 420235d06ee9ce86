"""A worker of a hundred lines that speaks ComfyUI's protocol; run as a program.

What a node does is in its class: ``Sleep`` (seconds, in steps that can be
interrupted), ``Silent`` (the same, without a word), ``Deaf`` (cannot), ``Held`` (until the
file ``go`` lies in the worker's folder), ``Stuck`` (the same, and cannot be interrupted), ``SaveImage``, ``SaveGraph`` (its prompt),
``SaveSame`` (one file for all), ``Fail``, ``Oom``, and the two that pass pictures through memory as the
pack comfyui-tooling-nodes does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

PNG = b"\x89PNG\r\n\x1a\n fake"
STRING = ["STRING", {"default": "x"}]
OBJECT_INFO: dict[str, Any] = {
    "Sleep": {"input": {"required": {"seconds": ["FLOAT", {}]}}, "output_node": True},
    "Deaf": {"input": {"required": {"seconds": ["FLOAT", {}]}}, "output_node": True},
    "Silent": {"input": {"required": {"seconds": ["FLOAT", {}]}}, "output_node": True},
    "Held": {"input": {"required": {}}, "output_node": True},
    "Stuck": {"input": {"required": {}}, "output_node": True},
    "Fail": {"input": {"required": {}}, "output_node": True},
    "Oom": {"input": {"required": {}}, "output_node": True},
    "SaveImage": {"input": {"required": {"filename_prefix": STRING}}, "output_node": True},
    "SaveSame": {"input": {"required": {"text": STRING}}, "output_node": True},
    "SaveGraph": {"input": {"required": {"filename_prefix": STRING}}, "output_node": True},
    "ETN_LoadImageCache": {"input": {"required": {"id": STRING}}, "output_node": False},
    "ETN_SaveImageCache": {"input": {"required": {}}, "output_node": True},
    "LoadImage": {
        "input": {"required": {"image": [["a.png"], {"image_upload": True}]}},
        "output_node": False,
    },
    "Load3D": {
        "input": {
            "required": {"model_file": [[], {"file_upload": True}], "image": ["LOAD_3D", {}]}
        },
        "output_node": False,
    },
}


class Interrupted(Exception):
    """The prompt was interrupted."""


class FakeWorker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.pending: asyncio.Queue[tuple[str, dict[str, Any], str]] = asyncio.Queue()
        self.running: tuple[str, dict[str, Any], str] | None = None
        self.history: dict[str, Any] = {}
        self.interrupted = False
        self.seen: list[dict[str, Any]] = []
        self.freed = 0
        self.passed: dict[str, bytes] = {}
        self.interrupts: list[Any] = []
        self.read = b""
        #: a ``FakeProbe``, where it runs as a program that is told to have one
        self.probe: Any = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.add_routes(
            [
                web.get("/ws", self.ws),
                web.post("/prompt", self.post_prompt),
                web.get("/queue", self.get_queue),
                web.post("/queue", self.ok),
                web.get("/history/{id}", self.get_history),
                web.post("/history", self.ok),
                web.post("/interrupt", self.interrupt),
                web.post("/free", self.free),
                web.get("/object_info", lambda _: _json(OBJECT_INFO)),
                web.get("/system_stats", self.stats),
                web.post("/upload/image", self.upload),
                web.get("/view", self.view),
                web.put("/api/etn/image/{id}", self.put_picture),
                web.get("/api/etn/image/{id}", self.get_picture),
                web.get("/fake/seen", self.show),
                web.post("/pack/{name}", self.pack),
            ]
        )
        if self.probe is not None:
            app.add_routes(self.probe.routes())
        app.on_startup.append(self.start)
        return app

    async def start(self, app: web.Application) -> None:
        self.task = asyncio.create_task(self.work())

    async def ok(self, request: web.Request) -> web.Response:
        return web.Response()

    async def show(self, request: web.Request) -> web.Response:
        told = {"prompts": self.seen, "interrupts": self.interrupts, "freed": self.freed}
        return _json({**told, "idle": self.running is None})

    async def pack(self, request: web.Request) -> web.Response:
        told = {"path": request.raw_path, "body": await request.text()}
        told |= {"cookie": request.headers.get("Cookie"), "other": request.headers.get("X-Other")}
        return _json(told)

    async def stats(self, request: web.Request) -> web.Response:
        return _json({"system": {}, "devices": [{"name": "cpu", "type": "cpu"}]})

    async def free(self, request: web.Request) -> web.Response:
        self.freed += 1
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.interrupts.append(body["prompt_id"])
        if self.running and self.running[0] == body["prompt_id"]:
            self.interrupted = True
        return web.Response()

    async def get_queue(self, request: web.Request) -> web.Response:
        items = [[0, self.running[0], {}, {}, []]] if self.running else []
        return _json({"queue_running": items, "queue_pending": []})

    async def get_history(self, request: web.Request) -> web.Response:
        found = self.history.get(request.match_info["id"])
        return _json({request.match_info["id"]: found} if found else {})

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        part = form["image"]
        assert isinstance(part, web.FileField)
        target = self.folder / str(form["type"]) / str(form["subfolder"]) / part.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(part.file.read())
        return _json({"name": part.filename, "subfolder": form["subfolder"], "type": "input"})

    async def view(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        folder = self.folder / query.get("type", "output") / query.get("subfolder", "")
        path = folder / query["filename"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    async def put_picture(self, request: web.Request) -> web.Response:
        self.passed[request.match_info["id"]] = await request.read()
        return web.json_response({"status": "success"}, status=201)

    async def get_picture(self, request: web.Request) -> web.Response:
        picture = self.passed.get(request.match_info["id"])
        return web.Response(status=404) if picture is None else web.Response(body=picture)

    async def post_prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append(body)
        for node_id, node in body["prompt"].items():
            if node["class_type"] not in OBJECT_INFO:
                error = {"type": "invalid_prompt", "message": "Unknown", "details": ""}
                errors = [
                    {"type": "x", "message": "Value not in list", "details": "m: 'a' not in ['b']"}
                ]
                broken = {node_id: {"errors": errors, "class_type": node["class_type"]}}
                return _json({"error": error, "node_errors": broken}, status=400)
        self.pending.put_nowait((body["prompt_id"], body["prompt"], body["client_id"]))
        return _json({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})

    async def ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query["clientId"]
        self.sockets[sid] = socket
        await self.send(
            sid, "status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": sid}
        )
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self.send(sid, "feature_flags", {"supports_preview_metadata": True})
        if self.sockets.get(sid) is socket:
            del self.sockets[sid]
        return socket

    async def send(self, sid: str, type_: str, data: dict[str, Any]) -> None:
        socket = self.sockets.get(sid)
        if socket is not None:
            await socket.send_str(json.dumps({"type": type_, "data": data}))

    async def work(self) -> None:
        while True:
            self.running = await self.pending.get()
            self.interrupted = False
            await self.run(*self.running)

    async def run(self, id_: str, graph: dict[str, Any], sid: str) -> None:
        messages: list[Any] = []
        outputs: dict[str, Any] = {}

        async def say(type_: str, **data: Any) -> None:
            data |= {"prompt_id": id_, "timestamp": 1}
            messages.append([type_, data])
            await self.send(sid, type_, data)

        await say("execution_start")
        await say("execution_cached", nodes=[])
        word = "success"
        node_id = ""
        try:
            for node_id, node in graph.items():
                await self.send(sid, "executing", {"node": node_id, "prompt_id": id_})
                output = await self.node(id_, node_id, node, sid)
                if output:
                    outputs[node_id] = output
                    data = {"node": node_id, "output": output, "prompt_id": id_}
                    await self.send(sid, "executed", data)
            await say("execution_success")
        except Interrupted:
            word = "error"
            await say("execution_interrupted", node_id=node_id, executed=[])
        except MemoryError:
            word = "error"
            kind = "torch.OutOfMemoryError"
            await say(
                "execution_error", exception_type=kind, exception_message="Allocation on device"
            )
        except ValueError:
            word = "error"
            trace = ['  File "/srv/secret/ComfyUI/execution.py", line 1, in f\n']
            await say(
                "execution_error",
                exception_type="ValueError",
                exception_message="no",
                traceback=trace,
            )
        status = {"status_str": word, "completed": word == "success", "messages": messages}
        entry = {"prompt": [0, id_, graph, {"client_id": sid}, []], "outputs": outputs}
        self.history[id_] = {**entry, "status": status, "meta": {}}
        if self.probe is not None:
            await self.probe.note(
                {"kind": "model", "what": "load", "prompt": id_, "bytes": 9, "loaded_bytes": 8},
                {"kind": "sample", "allocated": 1, "reserved": 2},
                *(
                    {"kind": "node", "prompt": id_, "node": node, "fallback": "tiled"}
                    for node in graph
                ),
                {"kind": "prompt", "prompt": id_, "result": word, "loads": 2, "load_seconds": 1.5},
            )
        self.running = None
        await self.send(sid, "executing", {"node": None, "prompt_id": id_})

    async def node(self, id_: str, node_id: str, node: dict[str, Any], sid: str) -> Any:
        inputs = node["inputs"]
        match node["class_type"]:
            case "Silent":
                for _ in range(round(inputs["seconds"] / 0.02)):
                    await asyncio.sleep(0.02)
                    if self.interrupted:
                        raise Interrupted
            case "Held" | "Stuck":
                while not (self.folder / "go").exists():
                    await asyncio.sleep(0.02)
                    if self.interrupted and node["class_type"] == "Held":
                        raise Interrupted
            case "Sleep" | "Deaf":
                steps = max(1, round(inputs["seconds"] / 0.02))
                for step in range(steps):
                    await asyncio.sleep(0.02)
                    if self.interrupted and node["class_type"] == "Sleep":
                        raise Interrupted
                    await self.progress(id_, node_id, sid, step + 1, steps)
            case "Fail":
                raise ValueError
            case "Oom":
                raise MemoryError
            case "ETN_LoadImageCache":
                self.read = self.passed[inputs["id"]]
            case "ETN_SaveImageCache":
                picture = f"made-{len(self.passed)}"
                self.passed[picture] = self.read + b" seen"
                return {"images": [{"source": "http", "id": picture, "type": "output"}]}
            case "SaveImage":
                return {"images": [self.save(inputs["filename_prefix"], PNG)]}
            case "SaveSame":
                (self.folder / "output").mkdir(parents=True, exist_ok=True)
                (self.folder / "output" / "same.txt").write_text(inputs["text"])
                return {"images": [{"filename": "same.txt", "subfolder": "", "type": "output"}]}
            case "SaveGraph":
                graph = json.dumps({node_id: node}).encode()
                return {"images": [self.save(inputs["filename_prefix"], graph)]}
        return None

    async def progress(self, id_: str, node: str, sid: str, value: int, max_: int) -> None:
        entry = {"value": value, "max": max_, "state": "running", "node_id": node, "prompt_id": id_}
        await self.send(sid, "progress_state", {"prompt_id": id_, "nodes": {node: entry}})
        meta = json.dumps({"node_id": node, "prompt_id": id_, "image_type": "image/jpeg"}).encode()
        socket = self.sockets.get(sid)
        if socket is not None:
            await socket.send_bytes(struct.pack(">II", 4, len(meta)) + meta + b"jpeg%d" % value)
        data = {"value": value, "max": max_, "prompt_id": id_, "node": node}
        await self.send(sid, "progress", data)

    def save(self, prefix: str, content: bytes) -> dict[str, str]:
        subfolder, _, stem = prefix.rpartition("/")
        folder = self.folder / "output" / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{stem}_{len(list(folder.glob(f'{stem}_*'))) + 1:05d}_.png"
        (folder / name).write_bytes(content)
        return {"filename": name, "subfolder": subfolder, "type": "output"}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    # run as a program, its own folder is on the import path
    from fake_probe import from_environment

    worker = FakeWorker(options.folder)
    worker.probe = from_environment(dict(os.environ), worker.send)
    web.run_app(worker.app(), host="127.0.0.1", port=options.port, print=None)
