"""What probes told, over Redis."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.bookkeeping import MOST_TOLD_BYTES
from scheduler.ledger_records import RecordBatch, StreamState, ToldRecords
from scheduler.redis_base import RedisSide
from scheduler.redis_group import Entry, RecorderGroup
from scheduler.redis_keys import RECORDER_GROUP


class RedisRecords(RedisSide):
    """``RecordSide`` over Redis."""

    async def tell(self, told: ToldRecords) -> bool:
        """Keep records for the recorder; False: so many wait already that these were not taken."""
        reply = await self.server.script(
            "tell",
            [self.keys.records],
            [MOST_TOLD_BYTES, told.agent, told.worker, told.gpu, told.boot, told.records],
        )
        return bool(reply[0] == b"TOLD")

    async def told(self, consumer: str, block_ms: int, count: int) -> list[RecordBatch]:
        """Batches for the recorder's consumer group; delivered until they are stored."""
        group = RecorderGroup(self.server, self.keys.records)
        return [_batch(entry) for entry in await group.read(consumer, block_ms, count)]

    async def stored(self, ids: Sequence[str]) -> None:
        """The recorder has stored these batches: the stream lets go of them."""
        if ids:
            await self.server.script("stored", [self.keys.records], [RECORDER_GROUP, *ids])

    async def streams(self) -> list[StreamState]:
        """How long the streams are: that of transitions, and this one."""
        keys = [self.keys.events, self.keys.records]
        reply = await self.server.script("streams", keys, [RECORDER_GROUP])
        return [
            StreamState(
                name=name,
                entries=reply[3 * n],
                waiting=reply[3 * n + 1],
                oldest_ms=int(reply[3 * n + 2]) if reply[3 * n + 2] else None,
            )
            for n, name in enumerate(("transitions", "records"))
        ]


def _batch(entry: Entry) -> RecordBatch:
    entry_id, fields = entry
    names = {name: fields[name.encode()].decode() for name in ("agent", "worker", "gpu", "boot")}
    return RecordBatch(id=entry_id.decode(), told=ToldRecords(**names, records=fields[b"records"]))
