// Secret storage holds the cross-signing keys, and the key backup is trusted and fills up.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function secretStorage(world) {
    const [alice, bob] = await world.people("alice", "bob");
    await alice.secure();
    await until("secret storage is ready", () => alice.crypto.isSecretStorageReady());
    const status = await alice.crypto.getCrossSigningStatus();
    assert.ok(status.privateKeysInSecretStorage);
    const backup = await alice.crypto.getKeyBackupInfo();
    assert.deepEqual(await alice.crypto.isKeyBackupTrusted(backup), { trusted: true, matchesDecryptionKey: true });

    const room = await alice.encryptedRoom(bob);
    await bob.reads(room, await alice.says(room, "kept"), "kept");
    const filled = await alice.backedUp(1);
    assert.notEqual(filled.etag, backup.etag);
}
