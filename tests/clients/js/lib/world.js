import "fake-indexeddb/auto";
import * as sdk from "matrix-js-sdk";
import { Person } from "./person.js";
import { Proxy } from "./proxy.js";

/** What one scenario gets: a server and the people it makes there. Everything started is stopped by `close`. */
export class World {
    constructor(server) {
        this.server = server;
        // Names are the scenario's own, since all scenarios share a server.
        this.tag = Math.random().toString(36).slice(2, 8);
        this.open = [];
    }

    /** A client that is nobody yet. */
    stranger() {
        return sdk.createClient({ baseUrl: this.server });
    }

    /**
     * Registers an account and syncs. Options: plain (no encryption), idle (no sync), kept (its
     * keys outlive the client, see `back`), refresh (asks for a refresh token), baseUrl.
     */
    async person(name, options = {}) {
        const password = `correct horse ${name}`;
        const body = { username: `${name}-${this.tag}`, password, refresh_token: options.refresh || undefined };
        const stranger = this.stranger();
        const answer = await stranger.registerRequest(body).catch((err) => {
            if (!err.data?.flows) throw err;
            return stranger.registerRequest({ ...body, auth: { type: "m.login.dummy", session: err.data.session } });
        });
        return this.#arrive(answer, password, options);
    }

    async people(...names) {
        const made = [];
        for (const name of names) made.push(await this.person(name));
        return made;
    }

    /** The same person at a further, fresh device. */
    async anotherDevice(person, options = {}) {
        const answer = await this.stranger().loginRequest({
            type: "m.login.password", identifier: { type: "m.id.user", user: person.id }, password: person.password,
            initial_device_display_name: options.name ?? "second device", refresh_token: options.refresh || undefined,
        });
        return this.#arrive(answer, person.password, options);
    }

    /** A stopped device, switched on again with the keys it kept. */
    async back(person) {
        return this.#arrive(person.tokens, person.password, person.options);
    }

    /** A proxy before the server whose connections can be cut. */
    async proxy() {
        const proxy = await Proxy.start(this.server);
        this.open.push(proxy);
        return proxy;
    }

    async #arrive(answer, password, options) {
        const person = new Person(this.server, {
            userId: answer.user_id, deviceId: answer.device_id, accessToken: answer.access_token, password,
        }, options);
        person.tokens = answer;
        this.open.push(person);
        if (!options.idle) await person.start();
        return person;
    }

    close() {
        for (const one of this.open.reverse()) one.stop();
    }
}
