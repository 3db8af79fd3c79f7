// Search finds words whatever their accents, elisions or case, highlights them, and only where the searcher may read.
import assert from "node:assert/strict";

export default async function search(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    const word = `école${world.tag}`;
    const found = await alice.says(room, `À la fin, l'${word} est ouverte`);
    await alice.says(room, "rien d'autre");
    const secret = await alice.createRoom();
    await alice.says(secret, `aussi dans l'${word}`);
    const results = await bob.client.searchRoomEvents({ term: `ECOLE${world.tag}` });
    assert.equal(results.count, 1);
    assert.deepEqual(results.results.map((r) => r.context.getEvent().getId()), [found]);
    const hers = await alice.client.searchRoomEvents({ term: `ecole${world.tag}` });
    assert.equal(hers.count, 2);
    const here = await alice.client.searchRoomEvents({ term: `ecole${world.tag}`, filter: { rooms: [secret] } });
    assert.equal(here.count, 1);
}
