// A readable picture: uploaded, sent, downloaded by the other with a token only, and as a thumbnail.
import assert from "node:assert/strict";
import { photo } from "../lib/photo.js";

export default async function picture(world) {
    const [alice, bob] = await world.people("alice", "bob");
    const room = await alice.openRoom(bob);
    const bytes = photo(320, 200);
    const config = await alice.client.getMediaConfig(true);
    assert.ok(config["m.upload.size"] > bytes.length);
    const { content_uri: uri } = await alice.client.uploadContent(bytes, { name: "été.png", type: "image/png" });
    const id = await alice.says(room, "été.png", { msgtype: "m.image", url: uri, info: { mimetype: "image/png", size: bytes.length } });
    const event = await bob.reads(room, id, "été.png");
    const fetchAs = (address, token) => fetch(address, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    const address = bob.client.mxcUrlToHttp(event.getContent().url, undefined, undefined, undefined, false, true, true);
    assert.equal((await fetchAs(address)).status, 401);
    const answer = await fetchAs(address, bob.client.getAccessToken());
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "image/png");
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), Buffer.from(bytes));
    const small = bob.client.mxcUrlToHttp(uri, 96, 96, "crop", false, true, true);
    const thumbnail = await fetchAs(small, bob.client.getAccessToken());
    assert.equal(thumbnail.status, 200);
    assert.match(thumbnail.headers.get("content-type"), /^image\//);
    await bob.client.setAvatarUrl(uri);
    assert.equal((await alice.client.getProfileInfo(bob.id)).avatar_url, uri);
}
