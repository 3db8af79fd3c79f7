// A token by which somebody proves to a third party who he is; widgets and calls use it.
import assert from "node:assert/strict";

export default async function openid(world) {
    const alice = await world.person("alice", { idle: true, plain: true });
    const token = await alice.client.getOpenIdToken();
    assert.equal(token.token_type, "Bearer");
    assert.equal(token.matrix_server_name, alice.id.slice(alice.id.indexOf(":") + 1));
    const ask = (secret) => fetch(`${world.server}/_matrix/federation/v1/openid/userinfo?access_token=${secret}`);
    assert.deepEqual(await (await ask(token.access_token)).json(), { sub: alice.id });
    assert.equal((await ask("guessed")).status, 401);
    assert.equal((await ask(alice.client.getAccessToken())).status, 401);
}
