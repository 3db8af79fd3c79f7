// Cross-signing keys are made behind the password, sign the device, and another person sees them.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function crossSigning(world) {
    const [alice, bob] = await world.people("alice", "bob");
    await alice.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (make) => alice.confirmed(make) });
    assert.ok(await alice.crypto.isCrossSigningReady());
    await until("her device is signed", async () =>
        (await alice.crypto.getDeviceVerificationStatus(alice.id, alice.device)).signedByOwner);

    await alice.openRoom(bob);
    assert.ok(await bob.crypto.userHasCrossSigningKeys(alice.id, true));
    const devices = (await bob.crypto.getUserDeviceInfo([alice.id], true)).get(alice.id);
    assert.deepEqual([...devices.keys()], [alice.device]);
    await until("bob sees the device as signed", async () =>
        (await bob.crypto.getDeviceVerificationStatus(alice.id, alice.device)).signedByOwner);

    // New keys over old ones are refused without the password.
    const asked = [];
    await alice.crypto.bootstrapCrossSigning({
        setupNewCrossSigning: true,
        authUploadDeviceSigningKeys: async (make) => {
            await make(null).catch((err) => asked.push(err.httpStatus));
            await alice.confirmed(make);
        },
    });
    assert.deepEqual(asked, [401]);
}
