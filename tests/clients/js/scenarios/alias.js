// An alias is made, looked up, joined by, made canonical, and deleted.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function alias(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.createRoom({ preset: "public_chat", room_alias_name: `first-${world.tag}` });
    const domain = alice.id.slice(alice.id.indexOf(":"));
    const [first, second] = [`#first-${world.tag}${domain}`, `#second-${world.tag}${domain}`];
    await until("the alias is canonical", () => alice.room(room).getCanonicalAlias() === first);
    await alice.client.createAlias(second, room);
    await refused("M_UNKNOWN", alice.client.createAlias(second, room)).catch((err) => assert.equal(err.cause?.httpStatus, 409));
    assert.equal((await bob.client.getRoomIdForAlias(second)).room_id, room);
    assert.deepEqual((await alice.client.getLocalAliases(room)).aliases.sort(), [first, second]);
    await bob.client.joinRoom(second);
    await bob.isIn(room);
    await refused("M_FORBIDDEN", bob.client.deleteAlias(second));
    await alice.client.sendStateEvent(room, "m.room.canonical_alias", { alias: second, alt_aliases: [first] });
    await until("bob sees the new one", () => bob.room(room).getCanonicalAlias() === second);
    await alice.client.deleteAlias(first);
    await refused("M_NOT_FOUND", bob.client.getRoomIdForAlias(first));
}
