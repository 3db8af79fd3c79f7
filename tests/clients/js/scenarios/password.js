// The password is changed behind the old one; other devices are logged out unless asked otherwise.
import { refused } from "../lib/until.js";

export default async function password(world) {
    const alice = await world.person("alice");
    const other = await world.anotherDevice(alice, { idle: true, plain: true });
    const change = (fresh, logout) => alice.confirmed((auth) => alice.client.setPassword(auth ?? undefined, fresh, logout));
    await change("battery staple 1", false);
    await other.client.whoami();
    await refused("M_FORBIDDEN", world.stranger().loginWithPassword(alice.id, alice.password));
    alice.password = "battery staple 1";
    await change("battery staple 2", true);
    await refused("M_UNKNOWN_TOKEN", other.client.whoami());
    await alice.client.whoami();
    alice.password = "battery staple 2";
    const again = await world.anotherDevice(alice, { idle: true, plain: true });
    await again.client.whoami();
    alice.password = "wrong";
    await refused("M_FORBIDDEN", change("battery staple 3", true));
}
