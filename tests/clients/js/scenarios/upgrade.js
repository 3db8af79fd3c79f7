// A room is upgraded: tombstone, successor with its settings, and both linked.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function upgrade(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const old = await alice.createRoom({ preset: "public_chat", name: "Old town", topic: "since 1200", room_version: "10", power_level_content_override: { users: { [alice.id]: 100, [bob.id]: 50 } } });
    await bob.client.joinRoom(old);
    await carol.client.joinRoom(old);
    await bob.isIn(old);
    await refused("M_FORBIDDEN", bob.client.upgradeRoom(old, "11"));
    const { replacement_room: fresh } = await alice.client.upgradeRoom(old, "11");
    const tombstone = await until("bob sees the tombstone", () => bob.room(old).currentState.getStateEvents("m.room.tombstone", ""));
    assert.equal(tombstone.getContent().replacement_room, fresh);
    await bob.client.joinRoom(fresh);
    await bob.isIn(fresh);
    const room = bob.room(fresh);
    assert.equal(room.getVersion(), "11");
    assert.equal(room.name, "Old town");
    assert.equal(room.findPredecessor().roomId, old);
    assert.equal(room.currentState.getStateEvents("m.room.topic", "").getContent().topic, "since 1200");
    await until("he is a moderator there too", () => room.getMember(bob.id)?.powerLevel === 50);
    // Spec: client-server-api/#module-room-upgrades: after the upgrade only moderators speak in the old room.
    await carol.isIn(old);
    await refused("M_FORBIDDEN", carol.says(old, "anybody?"));
    const latest = (await alice.client.upgradeRoom(fresh, "12")).replacement_room;
    await until("and on to 12", () => alice.room(latest)?.getVersion() === "12");
}
