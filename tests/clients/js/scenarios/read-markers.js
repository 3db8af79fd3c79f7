// The fully-read marker, tags, ignored users and other account data reach a person's other devices.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function readMarkers(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const desk = await world.anotherDevice(bob);
    const room = await alice.openRoom(bob);
    const last = await alice.says(room, "read this");
    const event = await bob.finds(room, last);
    await desk.isIn(room);
    await bob.client.setRoomReadMarkers(room, last, event);
    await until("the marker is there", () => desk.room(room).getAccountData("m.fully_read")?.getContent().event_id === last);
    await bob.client.setRoomTag(room, "m.favourite", { order: 0.25 });
    await until("the tag is there", () => desk.room(room).tags["m.favourite"]?.order === 0.25);
    await bob.client.deleteRoomTag(room, "m.favourite");
    await until("and gone", () => !desk.room(room).tags["m.favourite"]);
    await bob.client.setAccountData("org.example.colour", { is: "green" });
    await until("account data is there", () => desk.client.getAccountData("org.example.colour")?.getContent().is === "green");

    await bob.client.setIgnoredUsers([alice.id]);
    await until("she is ignored", () => desk.client.isUserIgnored(alice.id));
    const unseen = await alice.says(room, "into the void");
    const own = await bob.says(room, "silence");
    await desk.finds(room, own);
    assert.equal(desk.room(room).findEventById(unseen), undefined, "an ignored person's message came");
}
