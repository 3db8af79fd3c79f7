// Two people compare emoji in an encrypted room; each then sees the other as verified.
import { until } from "../lib/until.js";
import { compareEmoji, nextRequest } from "../lib/verify.js";

export default async function sasRoom(world) {
    const [alice, bob] = await world.people("alice", "bob");
    await alice.secure();
    await bob.secure();
    const room = await alice.encryptedRoom(bob);
    await bob.reads(room, await alice.says(room, "shall we verify?"), "shall we verify?");
    await alice.crypto.getUserDeviceInfo([bob.id], true);
    await bob.crypto.getUserDeviceInfo([alice.id], true);
    const arrives = nextRequest(bob);
    const asked = await alice.crypto.requestVerificationDM(bob.id, room);
    await compareEmoji(asked, await arrives);
    for (const [me, other] of [[alice, bob], [bob, alice]]) {
        await until(`${me.id} sees ${other.id} as verified`, async () =>
            (await me.crypto.getUserVerificationStatus(other.id)).isCrossSigningVerified());
    }
}
