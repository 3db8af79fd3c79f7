// A picture in an encrypted room, both ways: the server holds ciphertext only, the other side gets the same bytes.
import assert from "node:assert/strict";
import { decryptFile, encryptFile, photo } from "../lib/photo.js";

async function show(from, to, room, bytes) {
    const { ciphertext, file } = encryptFile(bytes);
    const { content_uri: url } = await from.client.uploadContent(ciphertext, { type: "application/octet-stream", includeFilename: false });
    const id = await from.says(room, "photo.png", { msgtype: "m.image", file: { ...file, url }, info: { mimetype: "image/png" } });
    const content = (await to.reads(room, id, "photo.png")).getContent();
    const address = to.client.mxcUrlToHttp(content.file.url, undefined, undefined, undefined, false, true, true);
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${to.client.getAccessToken()}` } });
    assert.equal(answer.status, 200);
    const held = Buffer.from(await answer.arrayBuffer());
    assert.ok(!held.includes("IHDR"), "the server holds a readable picture");
    assert.deepEqual(decryptFile(held, content.file), Buffer.from(bytes));
}

export default async function encryptedPicture(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.encryptedRoom(bob);
    await show(alice, bob, room, photo(320, 200));
    await show(bob, alice, room, photo(64, 64));
}
