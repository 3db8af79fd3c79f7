// Push rules decide what counts: default rules, a keyword, a silent room, mentions; and other devices hear of changes.
import assert from "node:assert/strict";
import { until } from "../lib/until.js";

export default async function pushRules(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const desk = await world.anotherDevice(bob);
    const room = await alice.openRoom(bob);
    const counts = () => ["total", "highlight"].map((kind) => bob.room(room).getUnreadNotificationCount(kind));
    const becomes = (total, highlight) => until(`counts become ${total}, ${highlight}`, () => {
        const [t, h] = counts();
        if (t !== total || h !== highlight) throw new Error(`now ${t}, ${h}`);
        return true;
    });
    await alice.says(room, "hello");
    await becomes(1, 0);
    await alice.says(room, "hello you", { "m.mentions": { user_ids: [bob.id] } });
    await becomes(2, 1);

    await bob.client.addPushRule("global", "content", "tea", { actions: ["notify", { set_tweak: "highlight" }], pattern: "tea" });
    await until("the desk hears of the rule", () => desk.client.pushRules?.global.content?.some((r) => r.rule_id === "tea"));
    await alice.says(room, "tea is ready");
    await becomes(3, 2);
    await bob.client.setPushRuleEnabled("global", "content", "tea", false);
    await alice.says(room, "more tea");
    await becomes(4, 2);

    await bob.client.addPushRule("global", "override", room, { actions: [], conditions: [{ kind: "event_match", key: "room_id", pattern: room }] });
    const silent = await alice.says(room, "anybody?");
    await bob.finds(room, silent);
    await bob.client.deletePushRule("global", "override", room);
    await alice.says(room, "and now?");
    await becomes(5, 2);
    await bob.client.setPushRuleActions("global", "underride", ".m.rule.message", []);
    const rules = await bob.client.getPushRules();
    assert.deepEqual(rules.global.underride.find((r) => r.rule_id === ".m.rule.message").actions, []);
    await bob.client.sendReadReceipt(bob.room(room).getLiveTimeline().getEvents().at(-1));
    await becomes(0, 0);
}
