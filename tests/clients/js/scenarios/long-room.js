// A device that comes late to a room with a long timeline knows the state that was set at its beginning.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function longRoom(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    await alice.client.setRoomName(room, "The long room");
    await alice.client.setRoomTopic(room, "all that was said");
    for (let i = 0; i < 30; i++) await alice.says(room, `line ${i}`);
    const late = await world.anotherDevice(bob);
    const seen = late.room(room);
    assert.equal(seen.name, "The long room");
    assert.equal(seen.currentState.getStateEvents("m.room.topic", "").getContent().topic, "all that was said");
    assert.equal(seen.getVersion(), "12");
    assert.equal(seen.getJoinedMemberCount(), 2);
    assert.equal(seen.getMember(alice.id).powerLevel, Infinity);
    await until("it reaches the beginning", async () => {
        await late.client.scrollback(seen, 50);
        return seen.getLiveTimeline().getEvents()[0].getType() === "m.room.create";
    });
    assert.deepEqual(late.bodies(room), Array.from({ length: 30 }, (_, i) => `line ${i}`));
}
