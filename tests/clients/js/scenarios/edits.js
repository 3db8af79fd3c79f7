// An edit replaces the text for those who are there and for those who come later, in readable and encrypted rooms.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

async function edit(who, room, target, body) {
    const content = { msgtype: "m.text", body: `* ${body}`, "m.new_content": { msgtype: "m.text", body } };
    const { event_id: id } = await who.client.sendMessage(room, { ...content, "m.relates_to": { rel_type: "m.replace", event_id: target } });
    return id;
}

export default async function edits(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const secret = await alice.encryptedRoom(bob);
    const hidden = await alice.says(secret, "tpyo");
    await bob.reads(secret, hidden, "tpyo");
    await edit(alice, secret, hidden, "typo");
    await bob.reads(secret, hidden, "typo");

    const room = await alice.openRoom(bob);
    const target = await alice.says(room, "meeting at 9");
    await bob.reads(room, target, "meeting at 9");
    await edit(alice, room, target, "meeting at 10");
    const last = await edit(alice, room, target, "meeting at 11");
    await bob.reads(room, target, "meeting at 11");
    // Bob's edit of her words counts nowhere.
    await edit(bob, room, target, "no meeting");

    // Spec: client-server-api/#server-side-aggregation-of-mreplace-relationships
    const held = await bob.client.fetchRoomEvent(room, target);
    assert.equal(held.unsigned["m.relations"]["m.replace"].event_id, last);
    assert.equal(held.content.body, "meeting at 9", "the original content must stay");
    const late = await world.anotherDevice(bob);
    await late.isIn(room);
    await late.reads(room, target, "meeting at 11");
    await until("and bob still does", () => bob.room(room).findEventById(target).getContent().body === "meeting at 11");
}
