"""What clients see of their jobs, in which order, and that nobody sees another's."""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp

from scheduler.ledger import Admitted, Ending, EventKind, Grant, Outcome
from scheduler.states import FailReason, Job
from tests.integration.gateway_prompt.stage import PATIENCE_S, Stage, kinds, remaining, report

JPEG = b"\xff\xd8\xff\xe0 jpeg"


async def test_the_first_frame_is_status_with_the_clients_own_id(stage: Stage) -> None:
    job = await stage.queue()
    async with stage.client.ws_connect("/ws?clientId=me", headers={"X-Test-User": "ann"}) as socket:
        first = await socket.receive_json(timeout=PATIENCE_S)
    assert first == {
        "type": "status",
        "data": {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "me"},
    }
    assert job.user == "ann"


async def test_a_client_without_id_is_given_one_of_32_hex_digits(stage: Stage) -> None:
    async with stage.client.ws_connect("/ws", headers={"X-Test-User": "ann"}) as socket:
        first = await socket.receive_json(timeout=PATIENCE_S)
    assert re.fullmatch(r"[0-9a-f]{32}", first["data"]["sid"])


async def test_feature_flags_are_answered_only_as_the_first_message(stage: Stage) -> None:
    flags = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
    async with stage.client.ws_connect("/ws", headers={"X-Test-User": "ann"}) as socket:
        await socket.receive_json(timeout=PATIENCE_S)
        await socket.send_str(flags)
        answer = await socket.receive_json(timeout=PATIENCE_S)
        await socket.send_str(flags)
        await socket.send_str("{not json")
        await socket.send_bytes(b"\0")
        job = await stage.queue()
        after = await socket.receive_json(timeout=PATIENCE_S)
    limit = stage.settings.gateway.max_body
    assert answer == {
        "type": "feature_flags",
        "data": {"supports_preview_metadata": True, "max_upload_size": limit, "assets": False},
    }
    assert after["type"] == "status"
    assert job.user == "ann"


async def test_what_is_no_message_does_not_count_as_the_first(stage: Stage) -> None:
    flags = {"supports_progress_text_metadata": True, "unheard_of": [1]}
    async with stage.client.ws_connect("/ws", headers={"X-Test-User": "ann"}) as socket:
        await socket.receive_json(timeout=PATIENCE_S)
        await socket.send_bytes(b"\0\0\0\1")
        for nonsense in ("", "{not json", "[]", "null", '"feature_flags"', "[" * 10_000):
            await socket.send_str(nonsense)
        await socket.send_str(json.dumps({"type": "feature_flags", "data": flags}))
        answer = await socket.receive_json(timeout=PATIENCE_S)
    assert answer["data"]["supports_progress_text_metadata"] is True


async def test_a_first_message_about_something_else_declares_nothing(stage: Stage) -> None:
    async with stage.tab() as tab:
        await tab.socket.send_str('{"type": "hello"}')
        await tab.socket.send_str('{"type": "feature_flags", "data": {}}')
        assert await tab.silent()


async def test_a_message_beyond_a_mebibyte_closes_only_its_own_socket(stage: Stage) -> None:
    async with stage.tab() as tab, stage.tab() as other:
        await other.socket.send_str("x" * 2**20)
        assert (await other.socket.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE
        assert other.socket.close_code == 1009
        await stage.queue()
        assert remaining(await tab.next()) == 1


async def test_a_job_is_shown_in_comfyuis_order(stage: Stage) -> None:
    async with stage.tab(previews=True) as tab:
        job = await stage.start(await stage.queue())
        id_ = job.prompt_id
        await stage.agent.say(job, "execution_start", {"prompt_id": id_})
        await stage.agent.say(job, "executing", {"node": "2", "prompt_id": id_})
        await stage.agent.show(job, JPEG)
        await stage.agent.say(job, "executed", {"node": "2", "output": {}, "prompt_id": id_})
        await stage.agent.end(job)
        await stage.settle(job)
        frames = [frame for frame in await tab.until_idle() if not _is_busy_status(frame)]
    assert kinds(frames) == [
        "execution_start",
        "executing",
        "binary",
        "executed",
        "execution_success",
        "status",
        "executing",
    ]
    assert remaining(frames[-2]) == 0
    assert frames[-1]["data"] == {"node": None, "prompt_id": id_}


async def test_closing_frames_wait_for_live_frames_that_come_after_the_settlement(
    stage: Stage,
) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        await stage.settle(job)
        await asyncio.sleep(0.1)
        await stage.agent.say(job, "executed", {"node": "2", "prompt_id": job.prompt_id})
        await stage.agent.end(job)
        frames = [frame for frame in await tab.until_idle() if not _is_busy_status(frame)]
        await stage.agent.say(job, "executed", {"node": "late", "prompt_id": job.prompt_id})
        assert await tab.silent()
    assert kinds(frames) == ["executed", "execution_success", "status", "executing"]


async def test_closing_frames_come_without_an_end_mark_when_the_agent_is_gone(
    stage: Stage,
) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        assert stage.agent.feed is not None
        await stage.agent.feed.close()
        await stage.settle(job)
        frames = await tab.until_idle()
    assert "execution_success" in kinds(frames)


async def test_who_reads_that_nothing_remains_finds_the_history_entry(stage: Stage) -> None:
    async with stage.tab() as tab:
        for _ in range(5):
            job = await stage.start(await stage.queue())
            await stage.agent.end(job)
            await stage.settle(job)
            await tab.until(lambda frame: frame["type"] == "status" and remaining(frame) == 0)
            assert job.prompt_id in await stage.get(f"/history/{job.prompt_id}")
            assert await stage.get("/prompt") == {"exec_info": {"queue_remaining": 0}}
            await tab.until_idle()


async def test_the_count_of_the_shortest_prompt_is_seen_to_rise_and_to_fall(stage: Stage) -> None:
    async with stage.tab() as tab:
        for _ in range(3):
            job = await stage.start(await stage.queue())
            await stage.agent.end(job)
            await stage.settle(job)
            frames = await tab.until_idle()
            counts = [remaining(frame) for frame in frames if frame["type"] == "status"]
            assert counts[0] == 1
            assert counts[-1] == 0
            assert kinds(frames)[-3:] == ["execution_success", "status", "executing"]


async def test_two_users_see_only_their_own_frames(stage: Stage) -> None:
    async with stage.tab("ann", "same") as anns, stage.tab("bob", "same") as bobs:
        job = await stage.start(await stage.queue("ann", "same"))
        loud = await stage.start(await stage.queue("ann", None))
        for one in (job, loud):
            await stage.agent.say(one, "executing", {"node": "1", "prompt_id": one.prompt_id})
            await stage.agent.say(one, "progress", {"value": 1, "max": 2, "node": "1"})
            await stage.agent.show(one, JPEG)
            await stage.agent.show(one, b"text", event=3, metadata=None)
            await stage.agent.show(one, b"png", event=1, metadata=None, lossless=True)
            await stage.agent.end(one)
            await stage.settle(one)
            await anns.until_idle()
        assert await bobs.silent(0.3)
        theirs = await stage.start(await stage.queue("bob", "same"))
        await stage.agent.end(theirs)
        await stage.settle(theirs)
        seen = await bobs.until_idle()
        assert await anns.silent(0.3)
    assert seen[-1]["data"]["prompt_id"] == theirs.prompt_id


async def test_two_sockets_of_one_client_both_hear_and_closing_one_silences_no_other(
    stage: Stage,
) -> None:
    async with stage.tab() as second:
        async with stage.tab() as first:
            job = await stage.start(await stage.queue())
            await stage.agent.say(job, "execution_start", {"prompt_id": job.prompt_id})
            for tab in (first, second):
                await tab.until(lambda frame: frame["type"] == "execution_start")
        await stage.until(lambda: len(stage.services.hub.sockets) == 1)
        await stage.agent.end(job)
        await stage.settle(job)
        assert kinds(await second.until_idle())[-3:] == [
            "execution_success",
            "status",
            "executing",
        ]


async def test_a_job_without_client_id_is_shown_to_all_tabs_of_its_user(stage: Stage) -> None:
    async with stage.tab("ann", "one") as one, stage.tab("ann", "two") as two:
        job = await stage.start(await stage.queue("ann", None))
        await stage.agent.end(job)
        await stage.settle(job)
        for tab in (one, two):
            assert "execution_success" in kinds(await tab.until_idle())


async def test_a_client_that_reconnects_is_told_the_current_node(stage: Stage) -> None:
    state = {"prompt_id": "p", "nodes": {"1": {"value": 3, "max": 9, "state": "running"}}}
    async with stage.tab() as watcher:
        job = await stage.start(await stage.queue())
        await stage.agent.say(job, "executing", {"node": "1", "prompt_id": job.prompt_id})
        await stage.agent.say(job, "progress_state", state)
        await watcher.until(lambda frame: frame["type"] == "progress_state")
        url, headers = "/ws?clientId=tab", {"X-Test-User": "ann"}
        async with stage.client.ws_connect(url, headers=headers) as again:
            frames = [await again.receive_json(timeout=PATIENCE_S) for _ in range(3)]
    assert kinds(frames) == ["status", "executing", "progress_state"]
    assert frames[0]["data"]["sid"] == "tab"
    assert frames[1]["data"]["node"] == "1"
    assert frames[2]["data"] == state


async def test_the_agents_repetition_reaches_a_user_who_was_away(stage: Stage) -> None:
    job = await stage.start(await stage.queue())
    async with stage.tab() as tab:
        data = {"node": "7", "prompt_id": job.prompt_id}
        await stage.agent.say(job, "executing", data, replay=True)
        await stage.agent.say(job, "executing", data, replay=True)
        frames = await tab.until(lambda frame: frame["type"] == "executing")
        await stage.agent.end(job)
        await stage.settle(job)
        frames += await tab.until_idle()
    shown = [frame for frame in frames if frame["type"] == "executing"]
    assert [frame["data"]["node"] for frame in shown] == ["7", None]


async def test_gateways_ask_only_for_users_who_have_a_socket(stage: Stage) -> None:
    async with stage.tab("ann"):
        async with stage.tab("bob"):
            assert stage.agent.subscribed == {"ann", "bob"}
        await stage.until(lambda: stage.agent.subscribed == {"ann"})
    await stage.until(lambda: stage.agent.subscribed == set())


async def test_a_feed_that_breaks_is_opened_again(stage: Stage) -> None:
    async with stage.tab() as tab:
        assert stage.agent.feed is not None
        broken = stage.agent.feed
        await broken.close()
        await stage.until(lambda: stage.agent.feed not in (None, broken))
        await stage.until(lambda: stage.agent.subscribed == {"ann"})
        job = await stage.start(await stage.queue())
        await stage.agent.say(job, "execution_start", {"prompt_id": job.prompt_id})
        await tab.until(lambda frame: frame["type"] == "execution_start")


async def test_a_failed_job_that_no_node_spoke_for_still_gets_an_execution_error(
    stage: Stage,
) -> None:
    async with stage.tab() as tab:
        job = await stage.queue()
        await stage.ledger.refuse(stage.epoch, job, FailReason.INFEASIBLE, "too big")
        frames = await tab.until_idle()
        entry = (await stage.get(f"/history/{job.prompt_id}"))[job.prompt_id]
    error = next(frame for frame in frames if frame["type"] == "execution_error")
    assert error["data"]["prompt_id"] == job.prompt_id
    assert error["data"]["exception_message"]
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["messages"][-1][0] == "execution_error"


async def test_a_prompt_deleted_while_pending_only_changes_the_count(stage: Stage) -> None:
    async with stage.tab() as tab:
        job = await stage.queue()
        await tab.until(lambda frame: remaining(frame) == 1)
        await stage.post("/queue", {"delete": [job.prompt_id]})
        assert kinds(await tab.until(lambda frame: remaining(frame) == 0)) == ["status"]
        assert await tab.silent()


async def test_an_interrupted_job_ends_like_comfyuis(stage: Stage) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        await stage.post("/interrupt", {"prompt_id": job.prompt_id})
        await stage.agent.end(job)
        await stage.settle(job, Ending.CANCELLED, "execution_interrupted")
        frames = [frame for frame in await tab.until_idle() if not _is_busy_status(frame)]
    assert kinds(frames) == ["execution_interrupted", "status", "executing"]
    entry = (await stage.get(f"/history/{job.prompt_id}"))[job.prompt_id]
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_client_that_does_not_read_is_cut_and_delays_nobody(stage: Stage) -> None:
    async with stage.tab("ann", "same") as reader, stage.tab("ann", "same") as sleeper:
        assert isinstance(sleeper.socket, aiohttp.ClientWebSocketResponse)
        transport = sleeper.socket.get_extra_info("socket")
        assert transport is not None
        job = await stage.start(await stage.queue("ann", "same"))
        result = b"x" * 2**20
        seen = 0
        for _ in range(48):
            await stage.agent.show(job, result, event=1, metadata=None, lossless=True)
            while not isinstance(await reader.next(), bytes):
                pass
            seen += 1
        await stage.until(lambda: len(stage.services.hub.sockets) == 1)
        assert seen == 48


async def test_an_agent_that_moves_is_followed_to_its_new_address(stage: Stage) -> None:
    async with stage.tab():
        await report(stage.ledger, "http://127.0.0.1:9", 2)
        await stage.until(lambda: stage.agent.feed is None)
        await report(stage.ledger, stage.agent.url, 2)
        await stage.until(lambda: stage.agent.subscribed == {"ann"})


def _is_busy_status(frame: object) -> bool:
    """Counts above zero are coalesced, so how many come is a matter of time."""
    return isinstance(frame, dict) and frame["type"] == "status" and remaining(frame) > 0


async def test_hold_and_move_tell_a_page_to_look_at_its_queue_again(stage: Stage) -> None:
    job, ledger = await stage.queue(), stage.ledger
    async with stage.tab() as tab:
        for change in (
            ledger.hold("ann", job.id, held=True),
            ledger.move("ann", job.id, front=False),
            ledger.hold("ann", job.id, held=False),
        ):
            assert (await change).changed
            frame = await tab.next()
            assert (frame["type"], remaining(frame)) == ("status", 1)
    (item,) = (await stage.get("/queue"))["queue_pending"]
    assert item[1] == job.prompt_id


async def test_a_held_job_is_pending_to_every_client(stage: Stage) -> None:
    held, other = await stage.queue(), await stage.queue()
    await stage.ledger.hold("ann", held.id, held=True)
    pending = (await stage.get("/queue"))["queue_pending"]
    assert {item[1] for item in pending} == {held.prompt_id, other.prompt_id}
    jobs = (await stage.get("/jobs?status=pending"))["jobs"]
    assert {job["id"] for job in jobs} == {held.prompt_id, other.prompt_id}
    assert (await stage.get(f"/jobs/{held.prompt_id}"))["status"] == "pending"
    # and can be cancelled the way each client does it
    await stage.post("/queue", {"delete": [held.prompt_id]})
    await stage.ledger.hold("ann", other.id, held=True)
    assert await stage.post(f"/jobs/{other.prompt_id}/cancel", {}) == {"cancelled": True}
    assert await stage.get("/prompt") == {"exec_info": {"queue_remaining": 0}}


async def test_a_preempted_job_is_shown_to_wait_again_and_ends_once(stage: Stage) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        await stage.agent.say(job, "execution_start", {"prompt_id": job.prompt_id})
        assert await stage.ledger.preempt(stage.epoch, job)
        (item,) = (await stage.get("/queue"))["queue_running"]
        assert item[1] == job.prompt_id
        await stage.agent.end(job)
        given_back = Outcome(ending=Ending.RETURNED, result=b"{}")
        await stage.ledger.settle(job.id, job.attempt, given_back)
        (item,) = (await stage.get("/queue"))["queue_pending"]
        assert item[1] == job.prompt_id
        again = await stage.start(await _record(stage, job))
        await stage.agent.say(again, "execution_start", {"prompt_id": job.prompt_id})
        await stage.agent.end(again)
        await stage.settle(again)
        frames = [frame for frame in await tab.until_idle() if frame["type"] != "status"]
    assert kinds(frames) == [
        "execution_start",
        "execution_start",
        "execution_success",
        "executing",
    ]


async def test_nothing_is_said_of_a_prompt_cancelled_before_a_worker_took_it_up(
    stage: Stage,
) -> None:
    async with stage.tab() as tab:
        job = await stage.queue()
        snapshot = await stage.ledger.snapshot(1)
        grant = Grant(bytes=2**30, capacity_bytes=24 * 2**30)
        admitted = await stage.ledger.admit(stage.epoch, job, snapshot.workers[0], grant, 60_000)
        assert isinstance(admitted, Admitted), admitted
        await stage.post("/interrupt", {"prompt_id": job.prompt_id})
        frames = await tab.until(
            lambda frame: kinds([frame]) == ["status"] and not remaining(frame)
        )
        assert await tab.silent()
    assert [one for one in frames if isinstance(one, dict) and one["type"] != "status"] == []
    assert await stage.get("/history") == {}


async def test_an_end_that_a_restarted_server_is_told_again_is_shown_once(stage: Stage) -> None:
    async with stage.tab() as tab:
        job = await stage.start(await stage.queue())
        await stage.agent.end(job)
        await stage.settle(job)
        await tab.until_idle()
        (told,) = [e for e in await stage.ledger.events("0-0", 10) if e.kind is EventKind.SETTLED]
        fields = {
            "kind": "settled",
            "job": job.id,
            "user": "ann",
            "prompt_id": job.prompt_id,
            "client_id": "tab",
            "state": "SUCCEEDED",
            "attempt": job.attempt,
            "frames": told.frames,
        }
        ledger = stage.ledger
        command = [part for field in fields.items() for part in field]
        await ledger.server.command("XADD", ledger.keys.events, "*", *command)
        frames = [await tab.next()]
        assert kinds(frames) == ["status"]
        assert await tab.silent()


async def _record(stage: Stage, job: Job) -> Job:
    (found,) = await stage.ledger.jobs([job.id])
    assert found is not None
    return found
