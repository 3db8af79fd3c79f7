// A new device is verified from the old one by emoji, and gets the secrets: signing keys and the backup's key.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";
import { compareEmoji, nextRequest } from "../lib/verify.js";

export default async function sasOwnDevice(world) {
    const [alice, bob] = await world.people("alice", "bob");
    await alice.secure();
    const room = await alice.encryptedRoom(bob);
    const old = await bob.says(room, "said before the new device");
    await alice.reads(room, old, "said before the new device");
    await alice.backedUp(1);

    const tablet = await world.anotherDevice(alice);
    await tablet.crypto.getUserDeviceInfo([alice.id], true);
    await until("the old device knows the new one", async () =>
        (await alice.crypto.getUserDeviceInfo([alice.id], true)).get(alice.id).size === 2);
    const arrives = nextRequest(alice);
    const asked = await tablet.crypto.requestOwnUserVerification();
    await compareEmoji(asked, await arrives);

    await until("the tablet is signed", async () =>
        (await tablet.crypto.getDeviceVerificationStatus(alice.id, tablet.device)).signedByOwner);
    await until("the tablet has the signing keys", async () =>
        Object.values((await tablet.crypto.getCrossSigningStatus()).privateKeysCachedLocally).every(Boolean));
    await until("the tablet has the backup's key", () => tablet.crypto.getSessionBackupPrivateKey());
    await until("the tablet uses the backup", () => tablet.crypto.getActiveSessionBackupVersion());
    assert.equal(tablet.recoveryKey, null);
    await tablet.reads(room, old, "said before the new device");
}
