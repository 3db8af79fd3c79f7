// Members of a space join its rooms; others are refused until they are in the space.
import { refused, until } from "../lib/until.js";

export default async function restrictedJoin(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const space = await alice.createRoom({ preset: "public_chat", creation_content: { type: "m.space" } });
    const room = await alice.createRoom({
        initial_state: [{
            type: "m.room.join_rules", state_key: "",
            content: { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: space }] },
        }],
    });
    await bob.client.joinRoom(space);
    await bob.client.joinRoom(room);
    await bob.isIn(room);
    await refused("M_FORBIDDEN", carol.client.joinRoom(room));
    await carol.client.joinRoom(space);
    await carol.client.joinRoom(room);
    await until("alice sees both", () => alice.room(room).getJoinedMemberCount() === 3);
}
