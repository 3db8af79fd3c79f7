// Read receipts: public ones are seen by all, private ones by their owner alone; threads have their own; counts follow.
import assert from "node:assert/strict";
import { ReceiptType } from "matrix-js-sdk/lib/@types/read_receipts.js";
import { until } from "../lib/until.js";

export default async function receipts(world) {
    const [alice, bob, carol] = await world.people("alice", "bob", "carol");
    const room = await alice.openRoom(bob, carol);
    const first = await alice.says(room, "first");
    const second = await alice.says(room, "second");
    const [seen, latest] = [await bob.finds(room, first), await bob.finds(room, second)];
    const readUpTo = (who, reader) => who.room(room).getEventReadUpTo(reader.id, true);
    await until("two are unread for bob", () => bob.room(room).getUnreadNotificationCount("total") === 2);

    await bob.client.sendReadReceipt(seen, ReceiptType.Read);
    await until("alice sees it", () => readUpTo(alice, bob) === first);
    await until("one is unread", () => bob.room(room).getUnreadNotificationCount("total") === 1);

    await bob.client.sendReadReceipt(latest, ReceiptType.ReadPrivate);
    await until("none is unread", () => bob.room(room).getUnreadNotificationCount("total") === 0);
    const desk = await world.anotherDevice(bob);
    await until("his other device knows", () => desk.room(room)?.getEventReadUpTo(bob.id) === second);
    // What comes later shows that alice's client has heard all that came before.
    const marker = await carol.says(room, "third");
    await alice.finds(room, marker);
    await carol.client.sendReadReceipt(await carol.finds(room, marker), ReceiptType.Read);
    await until("carol's comes", () => readUpTo(alice, carol) === marker);
    assert.equal(readUpTo(alice, bob), first, "a private receipt was shown to another");

    await thread(alice, bob, room);
}

async function thread(alice, bob, room) {
    const root = await alice.says(room, "a thread");
    await bob.finds(room, root);
    const answer = await alice.answers(room, root, "in it");
    await until("the thread has one unread", () => bob.room(room).getThreadUnreadNotificationCount(root, "total") === 1);
    const event = await until("bob has it", () => bob.room(room).getThread(root)?.findEventById(answer));
    await bob.client.sendReadReceipt(event, ReceiptType.Read);
    await until("the thread has none", () => bob.room(room).getThreadUnreadNotificationCount(root, "total") === 0);
    await until("alice sees his receipt in the thread", () => alice.room(room).getThread(root)?.getEventReadUpTo(bob.id) === answer);
    assert.ok(bob.room(room).getRoomUnreadNotificationCount("total") > 0, "the main timeline was read too");
}
