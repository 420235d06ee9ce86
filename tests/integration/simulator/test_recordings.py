"""The simulated worker says what the real one said, frame by frame."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from simulator.comfyui.edge import WORKER
from tests.integration.simulator.conftest import LAB_CATALOG, StartWorker
from tests.integration.simulator.replay import Replay, read

#: Recordings that went on with what the one before left behind, with the number of
#: submissions that the real server had seen before the first of them.
_CHAINS = [
    (("01",), 0),
    (("02", "03", "04"), 1),
    (("05",), 0),
    (("06",), 15),
    (("12",), 34),
    (("13",), 36),
    (("13w",), 40),
    (("14",), 41),
    (("15",), 44),
    (("16",), 44),
]


@pytest.mark.parametrize(("names", "submitted"), _CHAINS)
async def test_a_recording_plays_back_exactly(
    start_worker: StartWorker, tmp_path: Path, names: tuple[str, ...], submitted: int
) -> None:
    client = await start_worker(lab_nodes=True, catalog=LAB_CATALOG)
    client.app[WORKER].number = submitted
    for name in names:
        replay = Replay(name, client, tmp_path, ticks=True)
        await replay.run()
        assert replay.differences() == []


@pytest.mark.parametrize(("name", "submitted"), [("07", 18), ("08", 22), ("11", 32)])
async def test_a_recording_that_takes_time_plays_back_but_for_its_ticks(
    start_worker: StartWorker, tmp_path: Path, name: str, submitted: int
) -> None:
    client = await start_worker(lab_nodes=True, catalog=LAB_CATALOG, speed=2.0)
    client.app[WORKER].number = submitted
    replay = Replay(name, client, tmp_path, ticks=False)
    await replay.run()
    assert replay.differences() == []


async def test_history_windows_play_back(start_worker: StartWorker, tmp_path: Path) -> None:
    client = await start_worker(lab_nodes=True, catalog=LAB_CATALOG)
    newest, oldest = (record["response"] for record in read("09")[:2])
    for number, prompt_id, prompt, extra_data, _ in (
        entry["prompt"] for entry in [*oldest.values(), *newest.values()]
    ):
        body = {"prompt": prompt, "prompt_id": prompt_id, "number": number, **extra_data}
        assert (await client.post("/prompt", json=body)).status == 200
        await _ended(client, prompt_id)
    replay = Replay("09", client, tmp_path, ticks=True)
    await replay.run()
    assert replay.differences() == []


async def test_uploads_and_views_play_back(start_worker: StartWorker, tmp_path: Path) -> None:
    client = await start_worker(lab_nodes=True, catalog=LAB_CATALOG)
    client.app[WORKER].number = 30
    Image.new("RGB", (64, 64)).save(tmp_path / "ComfyUI" / "output" / "lab_00001_.png")
    replay = Replay("10", client, tmp_path, ticks=True)
    await replay.run()
    # The real server holds output nodes in a set: in which order they ran was chance.
    differences = [each for each in replay.differences() if not each.startswith("frames of A")]
    assert [each for each in differences if "tenant_a/run" not in each] == []
    assert Counter(map(_kind, replay.heard("A"))) == Counter(map(_kind, replay.expected("A")))


def _kind(frame: dict[str, Any]) -> str:
    data = frame["data"]
    return (
        f"{frame['type']} {data.get('output') or data.get('node') or data.get('exception_message')}"
    )


async def _ended(client: Any, prompt_id: str) -> None:
    while not await (await client.get(f"/history/{prompt_id}")).json():
        pass
