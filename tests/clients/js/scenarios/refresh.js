// Refresh tokens rotate; a lost answer does no harm; a token used again after its successor ends the chain.
import assert from "node:assert/strict";
import { refused } from "../lib/until.js";

export default async function refresh(world) {
    const alice = await world.person("alice", { idle: true, plain: true, refresh: true });
    assert.ok(alice.tokens.refresh_token && alice.tokens.expires_in_ms > 0);
    const next = await alice.client.refreshToken(alice.tokens.refresh_token);
    assert.notEqual(next.access_token, alice.tokens.access_token);
    assert.notEqual(next.refresh_token, alice.tokens.refresh_token);
    alice.client.setAccessToken(next.access_token);
    assert.equal((await alice.client.whoami()).device_id, alice.device);
    const stranger = world.stranger();
    stranger.setAccessToken(alice.tokens.access_token);
    await refused("M_UNKNOWN_TOKEN", stranger.whoami());

    // The old refresh token again, after the new pair was used: somebody stole it. The whole chain ends.
    await refused("M_UNKNOWN_TOKEN", stranger.refreshToken(alice.tokens.refresh_token));
    await refused("M_UNKNOWN_TOKEN", alice.client.whoami());
    await refused("M_UNKNOWN_TOKEN", stranger.refreshToken(next.refresh_token));

    // An answer that was lost: the old refresh token serves again until the new pair is used.
    const bob = await world.person("bob", { idle: true, plain: true, refresh: true });
    await bob.client.refreshToken(bob.tokens.refresh_token);
    await bob.client.whoami();
    const second = await bob.client.refreshToken(bob.tokens.refresh_token);
    bob.client.setAccessToken(second.access_token);
    await bob.client.whoami();
    const third = await bob.client.refreshToken(second.refresh_token);
    bob.client.setAccessToken(third.access_token);
    assert.equal((await bob.client.whoami()).user_id, bob.id);
}
