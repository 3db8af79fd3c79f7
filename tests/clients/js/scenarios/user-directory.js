// People who share a room find each other by display name; profiles reach rooms.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function userDirectory(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    await bob.client.setDisplayName(`Robert Dupont ${world.tag}`);
    await until("alice sees the name", () => alice.room(room).getMember(bob.id).rawDisplayName === `Robert Dupont ${world.tag}`);
    const { results } = await alice.client.searchUserDirectory({ term: `dupont ${world.tag}` });
    assert.deepEqual(results.map((r) => r.user_id), [bob.id]);
    assert.equal((await alice.client.getProfileInfo(bob.id)).displayname, `Robert Dupont ${world.tag}`);
    await bob.client.setExtendedProfileProperty("m.tz", "Europe/Paris");
    assert.equal(await alice.client.getExtendedProfileProperty(bob.id, "m.tz"), "Europe/Paris");
}
