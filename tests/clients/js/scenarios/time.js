// Jump to a date: the event next to a moment, and what stands around it.
import assert from "node:assert/strict";

export default async function time(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    const ids = [];
    for (let i = 0; i < 30; i++) ids.push(await alice.says(room, `day ${i}`));
    const middle = await alice.client.fetchRoomEvent(room, ids[15]);
    const near = await bob.client.timestampToEvent(room, middle.origin_server_ts, "f");
    assert.ok(near.origin_server_ts >= middle.origin_server_ts);
    const { event_id: first } = await bob.client.timestampToEvent(room, 0, "f");
    assert.equal((await bob.client.fetchRoomEvent(room, first)).type, "m.room.create");
    const timeline = await bob.client.getEventTimeline(bob.room(room).getUnfilteredTimelineSet(), ids[5]);
    assert.ok(timeline.getEvents().some((e) => e.getId() === ids[5]));
    const around = await bob.request("GET", `/rooms/${encodeURIComponent(room)}/context/${encodeURIComponent(ids[5])}?limit=6`);
    assert.deepEqual(around.events_after.map((e) => e.event_id), ids.slice(6, 9));
    assert.deepEqual(around.events_before.map((e) => e.event_id), [ids[4], ids[3], ids[2]]);
}
