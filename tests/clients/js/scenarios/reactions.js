// Reactions are counted by each client, come once only from one person, and are taken back by a redaction.
import assert from "node:assert/strict";
import { refused, until } from "../lib/until.js";

export default async function reactions(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    const target = await alice.says(room, "who comes?");
    await bob.reads(room, target, "who comes?");
    const react = (who, key) => who.client.sendEvent(room, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: target, key } });
    await react(alice, "👍");
    const { event_id: his } = await react(bob, "👍");
    await react(bob, "🎉");
    // Spec: client-server-api/#avoiding-duplicate-annotations
    // Why by hand: the library keeps what could not be sent, and counts it.
    await refused("M_DUPLICATE_ANNOTATION", bob.request("PUT", `/rooms/${encodeURIComponent(room)}/send/m.reaction/again`,
        { "m.relates_to": { rel_type: "m.annotation", event_id: target, key: "👍" } }));

    const counts = (who) => Object.fromEntries(
        (who.room(room).relations.getChildEventsForEvent(target, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey() ?? [])
            .map(([key, events]) => [key, events.size]).filter(([, n]) => n > 0));
    for (const who of [alice, bob]) {
        await until(`${who.id} counts three`, () => counts(who)["👍"] === 2 && counts(who)["🎉"] === 1);
    }
    await bob.client.redactEvent(room, his);
    await until("one is taken back", () => counts(alice)["👍"] === 1);
    const left = await alice.client.fetchRelations(room, target, "m.annotation", "m.reaction");
    assert.deepEqual(left.chunk.map((e) => e.content["m.relates_to"].key).sort(), ["🎉", "👍"]);
    await react(bob, "👍");
    await until("he may react again", () => counts(alice)["👍"] === 2);
}
