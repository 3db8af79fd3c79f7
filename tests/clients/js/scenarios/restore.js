// All devices are lost: a fresh one gets back keys and old messages from the recovery key alone.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function restore(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const recoveryKey = await alice.secure();
    const room = await alice.encryptedRoom(bob);
    const mine = await alice.says(room, "before the loss");
    const his = await bob.says(room, "answered before the loss");
    await alice.reads(room, his, "answered before the loss");
    await alice.backedUp(2);
    await alice.client.logout(true);

    const fresh = await world.anotherDevice(alice, { name: "new phone" });
    fresh.recoveryKey = recoveryKey;
    await until("she has the room", () => fresh.room(room));
    assert.ok(await fresh.crypto.userHasCrossSigningKeys(fresh.id, true));
    await fresh.crypto.bootstrapCrossSigning({});
    assert.ok(await fresh.crypto.isCrossSigningReady());
    await fresh.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const { total, imported } = await fresh.crypto.restoreKeyBackup();
    assert.ok(total >= 2 && imported === total, `${imported} of ${total} keys restored`);
    await fresh.reads(room, mine, "before the loss");
    await fresh.reads(room, his, "answered before the loss");
    await bob.reads(room, await fresh.says(room, "back again"), "back again");
}
