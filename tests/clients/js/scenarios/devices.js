// Devices are listed, renamed, deleted behind the password; others hear of it and stop encrypting for them.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function devices(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const [phone, desk, car] = [bob, await world.anotherDevice(bob, { name: "desk" }), await world.anotherDevice(bob, { name: "car" })];
    const room = await alice.encryptedRoom(bob);
    const known = async () => [...((await alice.crypto.getUserDeviceInfo([bob.id])).get(bob.id)?.keys() ?? [])].sort();
    await until("alice knows three", async () => (await known()).length === 3);

    await phone.client.setDeviceDetails(car.device, { display_name: "the red car" });
    const listed = (await phone.client.getDevices()).devices;
    assert.deepEqual(listed.map((d) => d.device_id).sort(), [phone, desk, car].map((p) => p.device).sort());
    assert.equal(listed.find((d) => d.device_id === car.device).display_name, "the red car");

    await assert.rejects(phone.client.deleteDevice(car.device), (err) => err.httpStatus === 401 && Boolean(err.data.session));
    await phone.confirmed((auth) => phone.client.deleteDevice(car.device, auth ?? undefined));
    await refused("M_UNKNOWN_TOKEN", car.client.whoami());
    await until("alice knows two", async () => (await known()).length === 2);
    await phone.confirmed((auth) => phone.client.deleteMultipleDevices([desk.device], auth ?? undefined));
    await until("alice knows one", async () => (await known()).join() === phone.device);
    await phone.reads(room, await alice.says(room, "only you"), "only you");
    await refused("M_NOT_FOUND", phone.client.getDevice(desk.device));
}
