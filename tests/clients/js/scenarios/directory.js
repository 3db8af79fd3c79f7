// A published room is found in the directory by its words, with its numbers; an unpublished one is not.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function directory(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const name = `Garden ${world.tag}`;
    const room = await alice.createRoom({ preset: "public_chat", visibility: "public", name, topic: "Tulips and more" });
    const hidden = await alice.createRoom({ preset: "public_chat", name: `${name} backyard` });
    const find = async (term) => (await bob.client.publicRooms({ limit: 10, filter: { generic_search_term: term } })).chunk;
    const [entry, ...more] = await find(world.tag);
    assert.equal(more.length, 0);
    assert.equal(entry.room_id, room);
    assert.equal(entry.topic, "Tulips and more");
    assert.equal(entry.num_joined_members, 1);
    assert.equal(entry.join_rule, "public");
    await bob.client.joinRoom(room);
    await until("the count follows", async () => (await find(world.tag))[0].num_joined_members === 2);
    const summary = await bob.client.getRoomSummary(hidden);
    assert.equal(summary.name, `${name} backyard`);
    await alice.client.setRoomDirectoryVisibility(room, "private");
    assert.deepEqual(await find(world.tag), []);
    assert.equal((await bob.client.getRoomDirectoryVisibility(room)).visibility, "private");
}
