// A space shows its rooms in order to those who may see them.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function space(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const top = await alice.createRoom({ preset: "public_chat", name: "Town hall", creation_content: { type: "m.space" } });
    const sub = await alice.createRoom({ preset: "public_chat", name: "Works", creation_content: { type: "m.space" } });
    const open = await alice.createRoom({ preset: "public_chat", name: "Roads" });
    const closed = await alice.createRoom({ name: "Payroll" });
    const via = [alice.id.slice(alice.id.indexOf(":") + 1)];
    const hang = (parent, child, order) => alice.client.sendStateEvent(parent, "m.space.child", { via, order }, child);
    await hang(top, sub, "b");
    await hang(top, closed, "a");
    await hang(sub, open, "a");
    await bob.client.joinRoom(top);
    await until("bob sees a space", () => bob.room(top)?.isSpaceRoom());
    const names = async (who, ...more) => (await who.client.getRoomHierarchy(top, 50, ...more)).rooms.map((r) => r.name);
    assert.deepEqual(await names(alice), ["Town hall", "Payroll", "Works", "Roads"]);
    assert.deepEqual(await names(bob), ["Town hall", "Works", "Roads"]);
    assert.deepEqual(await names(bob, 1), ["Town hall", "Works"]);
    const [root] = (await bob.client.getRoomHierarchy(top, 50)).rooms;
    assert.equal(root.room_type, "m.space");
    assert.deepEqual(root.children_state.map((c) => c.state_key).sort(), [sub, closed].sort());
}
