// Invitations with reasons, power levels, kick, ban, unban, and what a moderator may not do.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function moderation(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const room = await alice.createRoom({ name: "Market" });
    await alice.client.invite(room, bob.id, { reason: "come and help" });
    await until("bob is invited", () => bob.room(room)?.getMyMembership() === "invite");
    assert.equal(bob.room(room).getMember(bob.id).events.member.getContent().reason, "come and help");
    await bob.accepts(room);
    await refused("M_FORBIDDEN", bob.client.kick(room, alice.id));
    await alice.client.setPowerLevel(room, bob.id, 50);
    await until("bob is a moderator", () => bob.room(room).getMember(bob.id)?.powerLevel === 50);
    await refused("M_FORBIDDEN", bob.client.setPowerLevel(room, bob.id, 100));

    await bob.client.invite(room, carol.id);
    await carol.accepts(room);
    await bob.client.kick(room, carol.id, "calm down");
    await carol.isIn(room, "leave");
    assert.equal(carol.room(room).getMember(carol.id).events.member.getContent().reason, "calm down");
    await bob.client.ban(room, carol.id, "enough");
    await carol.isIn(room, "ban");
    await refused("M_FORBIDDEN", bob.client.invite(room, carol.id));
    await refused("M_FORBIDDEN", carol.client.joinRoom(room));
    await bob.client.unban(room, carol.id);
    await bob.client.invite(room, carol.id);
    await carol.accepts(room);
    await until("alice sees three", () => alice.room(room).getJoinedMemberCount() === 3);
    await carol.client.leave(room);
    await carol.client.forget(room);
    await until("two are left", () => alice.room(room).getJoinedMemberCount() === 2);
    await refused("M_FORBIDDEN", bob.client.kick(room, alice.id));
}
