// Somebody knocks, is let in; somebody else knocks and is turned away.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function knock(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const room = await alice.createRoom({
        name: "Council", initial_state: [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }],
    });
    await refused("M_FORBIDDEN", bob.client.joinRoom(room));
    await bob.client.knockRoom(room, { reason: "it is me" });
    await bob.isIn(room, "knock");
    assert.equal(bob.room(room).name, "Council");
    const knocking = await until("alice hears him", () => {
        const member = alice.room(room).getMember(bob.id);
        return member?.membership === "knock" ? member : null;
    });
    assert.equal(knocking.events.member.getContent().reason, "it is me");
    await alice.client.invite(room, bob.id);
    await bob.accepts(room);

    await carol.client.knockRoom(room);
    await carol.isIn(room, "knock");
    await alice.client.kick(room, carol.id, "not today");
    await carol.isIn(room, "leave");
    await refused("M_FORBIDDEN", carol.client.joinRoom(room));
}
