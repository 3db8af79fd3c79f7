// An account is deactivated behind its password: it leaves its rooms, nobody logs in, its name stays taken.
import { refused, until } from "../lib/until.js";

export default async function deactivation(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    bob.client.stopClient();
    await bob.confirmed((auth) => bob.client.deactivateAccount(auth ?? undefined, true));
    await refused("M_UNKNOWN_TOKEN", bob.client.whoami());
    await until("he has left", () => alice.room(room).getMember(bob.id).membership === "leave");
    const stranger = world.stranger();
    // A server may also say M_USER_DEACTIVATED; ours keeps nothing by which it could know who asks.
    await refused("M_FORBIDDEN", stranger.loginWithPassword(bob.id, bob.password));
    await refused("M_USER_IN_USE", stranger.registerRequest({ username: bob.id.slice(1, bob.id.indexOf(":")), password: "x1y2z3 long" }));
}
