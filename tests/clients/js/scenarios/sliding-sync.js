// matrix-js-sdk's own class for sliding sync: a window of rooms, messages both ways in an encrypted room, a room that comes
// into the window, an invitation, an opened room, what others read and type.
import assert from "node:assert/strict";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";
import { until } from "../lib/until.js";

const state = [["m.room.create", ""], ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"]];
const list = (last) => ({ ranges: [[0, last]], timeline_limit: 1, required_state: state });

export default async function slidingSync(world) {
    const alice = await world.person("alice");
    const bob = await world.person("bob", { idle: true });
    const names = ["one", "two", "three"];
    const rooms = [];
    for (const name of names) rooms.push(await alice.createRoom({ name, preset: "public_chat" }));
    for (const room of rooms) await bob.client.http.authedRequest("POST", `/join/${encodeURIComponent(room)}`, undefined, {});
    for (const room of rooms) for (const text of ["a", "b", "c"]) await alice.says(room, text);

    const sliding = new SlidingSync(world.server, new Map([["all", list(1)]]), { timeline_limit: 20, required_state: state }, bob.client, 10_000);
    await bob.client.initRustCrypto({ useIndexedDB: false });
    await bob.client.startClient({ slidingSync: sliding, threadSupport: true });
    await until("bob has the first window", () => bob.room(rooms[2]) && bob.room(rooms[1]));
    assert.equal(sliding.getListData("all").joinedCount, 3);
    assert.equal(bob.room(rooms[0]), null, "a room outside of the window came");
    assert.equal(bob.room(rooms[2]).name, "three");
    assert.deepEqual(bob.bodies(rooms[2]), ["c"]);

    await alice.says(rooms[0], "up");
    await until("the room comes into the window", () => bob.room(rooms[0])?.timeline.at(-1)?.getContent().body === "up");
    sliding.modifyRoomSubscriptions(new Set([rooms[2]]));
    await until("the opened room has more", () => ["a", "b", "c"].every((text) => bob.bodies(rooms[2]).includes(text)));
    sliding.setListRanges("all", [[0, 100]]);

    const own = await bob.says(rooms[2], "from bob");
    await alice.reads(rooms[2], own, "from bob");
    await until("bob has it himself", () => bob.bodies(rooms[2]).at(-1) === "from bob");
    await alice.client.sendReadReceipt(await alice.finds(rooms[2], own));
    await until("bob sees that alice has read it", () => bob.room(rooms[2]).getEventReadUpTo(alice.id, true) === own);
    await alice.client.sendTyping(rooms[2], true, 30_000);
    await until("bob sees alice type", () => bob.room(rooms[2]).getMember(alice.id)?.typing);

    const secret = await alice.createRoom({
        name: "secret", invite: [bob.id],
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    await bob.accepts(secret);
    await alice.hears(secret, 2);
    await bob.reads(secret, await alice.says(secret, "hidden"), "hidden");
    await alice.reads(secret, await bob.says(secret, "hidden as well"), "hidden as well");
    sliding.stop();
}
