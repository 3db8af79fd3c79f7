// MSC3814: with no device online, a dehydrated one takes the room keys, and the next device gets them.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function dehydratedDevice(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const recoveryKey = await alice.secure();
    assert.ok(await alice.crypto.isDehydrationSupported(), "the server has no dehydrated devices");
    await alice.crypto.startDehydration({ createNewKey: true });
    const room = await alice.encryptedRoom(bob);
    await until("bob knows the dehydrated device", async () => (await bob.crypto.getUserDeviceInfo([alice.id], true)).get(alice.id).size === 2);
    await alice.client.logout(true);
    const missed = await bob.says(room, "while you were away");
    const fresh = await world.anotherDevice(alice);
    fresh.recoveryKey = recoveryKey;
    // Its own public keys first, as clients do: private ones are imported only where they fit.
    assert.ok(await fresh.crypto.userHasCrossSigningKeys(alice.id, true));
    await fresh.crypto.bootstrapCrossSigning({});
    await fresh.crypto.startDehydration({ rehydrate: true });
    await fresh.reads(room, missed, "while you were away");
}
