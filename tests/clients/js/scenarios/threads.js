// A thread in an encrypted and in a readable room: answers stand in it, its summary counts them, /threads lists it.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

/** Whether a client's thread has these answers. Its own count is not asked: the library counts its echoes twice. */
function complete(thread, answers) {
    const missing = answers.filter((id) => !thread.findEventById(id));
    if (missing.length) throw new Error(`lacks ${missing}`);
    return true;
}

async function thread(starter, other, room) {
    const root = await starter.says(room, "root");
    await other.reads(room, root, "root");
    const answers = [];
    for (const [who, text] of [[other, "first"], [starter, "second"], [other, "third"]]) {
        answers.push(await who.answers(room, root, text));
    }
    for (const who of [starter, other]) {
        await until(`${who.id} has the thread`, () => complete(who.room(room).getThread(root), answers));
        const shown = who.room(room).getThread(root);
        await until("its last answer is the third", () => shown.replyToEvent?.getId() === answers[2]);
        assert.ok(!who.room(room).getLiveTimeline().getEvents().some((e) => answers.includes(e.getId())), "an answer stands in the main timeline");
    }
    return { root, answers };
}

export default async function threads(world) {
    const [alice, bob] = await world.people("alice", "bob");
    await thread(alice, bob, await alice.encryptedRoom(bob));
    const room = await alice.openRoom(bob);
    const { root, answers } = await thread(alice, bob, room);

    // Spec: client-server-api/#server-side-aggregation-of-mthread-relationships
    const bundled = (await alice.client.fetchRoomEvent(room, root)).unsigned["m.relations"]["m.thread"];
    assert.equal(bundled.count, 3);
    assert.equal(bundled.current_user_participated, true);
    assert.equal(bundled.latest_event.event_id, answers[2]);
    const page = await alice.client.fetchRelations(room, root, "m.thread", null, { dir: "f" });
    assert.deepEqual(page.chunk.map((e) => e.event_id), answers);
    const listed = await alice.request("GET", `/rooms/${encodeURIComponent(room)}/threads`, undefined, "/_matrix/client/v1");
    assert.deepEqual(listed.chunk.map((e) => e.event_id), [root]);

    // A device that comes later sees the same thread.
    const late = await world.anotherDevice(bob);
    await late.isIn(room);
    await late.client.scrollback(late.room(room), 50);
    await until("the late device has the thread", () => complete(late.room(room).getThread(root), answers));
    assert.equal(late.room(room).getThread(root).length, 3);
}
