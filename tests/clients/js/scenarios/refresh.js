// Refresh tokens rotate; a token used twice ends the chain; the client library itself carries on over a dead token.
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

    const bob = await world.person("bob", { idle: true, plain: true, refresh: true, onTokenRefresh: ({ accessToken, refreshToken }) => (bob.got = { accessToken, refreshToken }) });
    const other = await bob.client.refreshToken(bob.tokens.refresh_token);
    stranger.setAccessToken(other.access_token);
    await stranger.whoami();
    assert.equal((await refused("M_UNKNOWN_TOKEN", bob.client.whoami())).data.soft_logout, true);
}
