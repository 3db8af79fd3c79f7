// The network is cut while many messages come. The next sync has a gap, and going back from its token fills it exactly.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function gap(world) {
    const alice = await world.person("alice");
    const proxy = await world.proxy();
    const bob = await world.person("bob", { baseUrl: proxy.url });
    const room = await alice.encryptedRoom(bob);
    await bob.reads(room, await alice.says(room, "before"), "before");
    proxy.cut();
    await until("bob notices", () => ["RECONNECTING", "ERROR"].includes(bob.client.getSyncState()));
    const wanted = Array.from({ length: 45 }, (_, i) => `missed ${i}`);
    for (const body of wanted) await alice.says(room, body);
    proxy.mend();
    await until("bob is back", () => bob.client.retryImmediately() || bob.client.getSyncState() === "SYNCING");
    await until("the newest is there", () => bob.bodies(room).at(-1) === wanted.at(-1));
    assert.ok(bob.bodies(room).length < wanted.length, "the sync had no gap: the scenario shows nothing");
    await until("the gap is filled", async () => {
        await bob.client.scrollback(bob.room(room), 10);
        return bob.bodies(room).includes("before");
    });
    await until("all is readable", () => !bob.bodies(room).some((b) => b?.startsWith("**")));
    const filled = bob.bodies(room);
    assert.deepEqual(filled.slice(filled.indexOf("before")), ["before", ...wanted]);
    await alice.reads(room, await bob.says(room, "caught up"), "caught up");
}
