// A token that proves who one is to third parties, and reports of content, rooms and people.
import assert from "node:assert/strict";
import { refused } from "../lib/until.js";

export default async function openidReport(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    const id = await alice.says(room, "something bad");
    await bob.client.reportEvent(room, id, -100, "spam");
    await bob.client.reportRoom(room, "spam");
    await refused("M_NOT_FOUND", bob.client.reportEvent(room, "$nothing", -1, ""));
    const token = await alice.client.getOpenIdToken();
    assert.equal(token.token_type, "Bearer");
    const answer = await fetch(`${world.server}/_matrix/federation/v1/openid/userinfo?access_token=${token.access_token}`);
    assert.deepEqual(await answer.json(), { sub: alice.id });
}
