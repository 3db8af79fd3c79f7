// Two people, one of them at two devices, talk in an encrypted room; the server holds nothing readable.
import assert from "node:assert/strict";

export default async function encryptedText(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const desk = await world.anotherDevice(bob);
    const room = await alice.encryptedRoom(bob);
    await desk.isIn(room);
    const question = await alice.says(room, "do you read me?");
    await bob.reads(room, question, "do you read me?");
    await desk.reads(room, question, "do you read me?");
    const answer = await desk.says(room, "loud and clear");
    await alice.reads(room, answer, "loud and clear");
    await bob.reads(room, answer, "loud and clear");
    const held = await alice.client.fetchRoomEvent(room, question);
    assert.equal(held.type, "m.room.encrypted");
    assert.ok(!JSON.stringify(held).includes("read me"), "the server holds the text");
}
