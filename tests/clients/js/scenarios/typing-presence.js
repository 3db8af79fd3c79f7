// Typing notices and presence reach those who share a room, and end.
import { until } from "../lib/until.js";

export default async function typingPresence(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    await bob.client.sendTyping(room, true, 30_000);
    await until("bob types", () => alice.room(room).getMember(bob.id).typing);
    await bob.client.sendTyping(room, false, 0);
    await until("bob stops", () => !alice.room(room).getMember(bob.id).typing);
    await bob.client.setPresence({ presence: "unavailable", status_msg: "lunch" });
    await until("alice sees his status", () => alice.client.getUser(bob.id)?.presenceStatusMsg === "lunch");
}
