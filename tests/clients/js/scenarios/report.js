// Reports of content, rooms and people are taken, of what the reporter may see only.
import { refused } from "../lib/until.js";

export default async function report(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const room = await alice.openRoom(bob);
    const id = await alice.says(room, "something bad");
    await bob.client.reportEvent(room, id, -100, "spam");
    await bob.client.reportRoom(room, "spam");
    await bob.request("POST", `/users/${encodeURIComponent(alice.id)}/report`, { reason: "spam" });
    await refused("M_NOT_FOUND", bob.client.reportEvent(room, "$nothing", -1, ""));
    await refused("M_NOT_FOUND", carol.client.reportEvent(room, id, -1, ""));
}
