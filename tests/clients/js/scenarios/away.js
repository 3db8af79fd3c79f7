// A device is switched off for a while. With what it kept it comes back, gets every key it missed, and reads all.
import { until } from "../lib/until.js";

export default async function away(world) {
    const alice = await world.person("alice");
    const bob = await world.person("bob", { kept: true });
    const room = await alice.encryptedRoom(bob);
    await bob.reads(room, await alice.says(room, "are you going?"), "are you going?");
    bob.stop();
    const missed = [];
    for (let i = 0; i < 6; i++) {
        // Each message under a key of its own, which comes by a to-device message of its own.
        await alice.crypto.forceDiscardSession(room);
        missed.push(await alice.says(room, `missed ${i}`));
    }
    const back = await world.back(bob);
    for (const [i, id] of missed.entries()) await back.reads(room, id, `missed ${i}`);
    await alice.reads(room, await back.says(room, "here I am"), "here I am");
    const [device] = await until("he is one device still", async () => [...(await alice.crypto.getUserDeviceInfo([bob.id], true)).get(bob.id).keys()]);
    if (device !== bob.device) throw new Error("the device came back as another");
}
