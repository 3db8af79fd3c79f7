// A redacted message is gone for everybody; strangers to the power level may redact only their own.
import assert from "node:assert/strict";
import { refused } from "../lib/until.js";

export default async function redactions(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.encryptedRoom(bob);
    const slip = await bob.says(room, "my password is hunter2");
    const fine = await alice.says(room, "never post that");
    await alice.reads(room, slip, "my password is hunter2");
    await alice.client.redactEvent(room, slip, undefined, { reason: "a slip" });
    const gone = (e) => e.isRedacted() && !e.getContent().body;
    await alice.finds(room, slip, "it redacted", gone);
    const event = await bob.finds(room, slip, "it redacted", gone);
    assert.equal(event.getUnsigned().redacted_because.content.reason, "a slip");
    await refused("M_FORBIDDEN", bob.client.redactEvent(room, fine));
    const held = await bob.client.fetchRoomEvent(room, slip);
    assert.deepEqual(held.content, {});
    assert.equal(held.unsigned.redacted_because.sender, alice.id);
    await bob.client.redactEvent(room, await bob.says(room, "mine"));
}
