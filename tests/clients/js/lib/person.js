import * as sdk from "matrix-js-sdk";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import { until } from "./until.js";

// Why: real clients wait up to ten seconds before they back up, to spare the server; scenarios would wait as long.
RustBackupManager.maxBackupLoopStartDelayMillis = 0;

/** Fetches, and tells the log of a failing scenario how each request went. */
async function traced(url, options) {
    const path = decodeURIComponent(new URL(url).pathname.replace("/_matrix/client", ""));
    const answer = await fetch(url, options);
    if (!path.endsWith("/sync")) console.info(`${options?.method} ${path} ${answer.status}`);
    return answer;
}

/** A user at one device: an account's password, a client of matrix-js-sdk, and what scenarios do with both. */
export class Person {
    constructor(server, { userId, password, deviceId, accessToken }, options = {}) {
        this.server = server;
        this.id = userId;
        this.password = password;
        this.device = deviceId;
        this.options = options;
        this.recoveryKey = null; // private key of secret storage, as the user would type it
        this.client = sdk.createClient({
            baseUrl: options.baseUrl ?? server,
            userId,
            deviceId,
            accessToken,
            fetchFn: traced,
            timelineSupport: true,
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) => (this.recoveryKey ? [Object.keys(keys)[0], this.recoveryKey] : null),
                cacheSecretStorageKey: (_id, _info, key) => (this.recoveryKey = key),
            },
        });
    }

    /** Starts encryption (unless the option `plain` is set) and syncs until the first answer is in. */
    async start() {
        if (!this.options.plain) {
            await this.client.initRustCrypto({ useIndexedDB: Boolean(this.options.kept), cryptoDatabasePrefix: this.device });
        }
        await this.client.startClient({ initialSyncLimit: 8, threadSupport: true, pollTimeout: 10_000, lazyLoadMembers: true });
        await until(`${this.id} syncs`, () => ["PREPARED", "SYNCING"].includes(this.client.getSyncState()));
        return this;
    }

    stop() {
        this.client.stopClient();
    }

    get crypto() {
        return this.client.getCrypto();
    }

    room(id) {
        return this.client.getRoom(id);
    }

    /** What password stages of user-interactive authentication want. */
    auth(session) {
        return { type: "m.login.password", identifier: { type: "m.id.user", user: this.id }, password: this.password, session };
    }

    /** Runs a request that needs user-interactive authentication: asks without, then with the password. */
    async confirmed(request) {
        try {
            return await request(null);
        } catch (err) {
            if (!err.data?.flows) throw err;
            return request(this.auth(err.data.session));
        }
    }

    async createRoom(options = {}) {
        const { room_id: id } = await this.client.createRoom({ preset: "private_chat", ...options });
        await until(`${this.id} has the room`, () => this.room(id));
        return id;
    }

    /** A new encrypted room with these people in it, each of whom has heard that all are there. */
    async encryptedRoom(...others) {
        const id = await this.createRoom({
            invite: others.map((p) => p.id),
            initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
        });
        for (const other of others) await other.accepts(id);
        await Promise.all([this, ...others].map((p) => p.hears(id, others.length + 1)));
        return id;
    }

    /** A new readable room with these people in it. */
    async openRoom(...others) {
        const id = await this.createRoom({ invite: others.map((p) => p.id) });
        for (const other of others) await other.accepts(id);
        await Promise.all([this, ...others].map((p) => p.hears(id, others.length + 1)));
        return id;
    }

    async accepts(roomId) {
        await until(`${this.id} is invited`, () => this.room(roomId)?.getMyMembership() === "invite");
        await this.client.joinRoom(roomId);
        await this.isIn(roomId);
    }

    async isIn(roomId, membership = "join") {
        await until(`${this.id}: ${membership} in ${roomId}`, () => this.room(roomId)?.getMyMembership() === membership);
    }

    /** Waits until this client itself knows of so many joined members. */
    async hears(roomId, members) {
        await until(`${this.id} knows ${members} members`, async () => {
            await this.room(roomId).loadMembersIfNeeded();
            return this.room(roomId).getJoinedMembers().length === members;
        });
    }

    async says(roomId, body, content = {}) {
        const { event_id: id } = await this.client.sendMessage(roomId, { msgtype: "m.text", body, ...content });
        return id;
    }

    /** Says something in the thread that starts at the event, and gives the message's ID. */
    async answers(roomId, root, body) {
        const room = this.room(roomId);
        // As Element does when the user opens the thread: without it the library loses the user's own first answer.
        if (!room.getThread(root)) room.createThread(root, room.findEventById(root), [], true);
        try {
            return (await this.client.sendMessage(roomId, root, { msgtype: "m.text", body })).event_id;
        } catch (err) {
            // Why: when its own sync is quicker than the answer to the request, the library throws for messages of
            // threads, though they are sent.
            if (!err.message.includes("not a local echo")) throw err;
            const sent = await until(`${this.id} sees "${body}"`, () => room.getThread(root).timeline
                .find((e) => e.getSender() === this.id && e.getContent().body === body && e.getId().startsWith("$")));
            return sent.getId();
        }
    }

    /** Waits for an event in the room by its ID; `wanted` may ask more of it. */
    async finds(roomId, eventId, what = eventId, wanted = () => true) {
        return until(`${this.id} sees ${what}`, () => {
            const event = this.room(roomId)?.findEventById(eventId);
            return event && wanted(event) ? event : null;
        });
    }

    /** Waits for an event whose readable (decrypted) body is the text. */
    async reads(roomId, eventId, body) {
        return this.finds(roomId, eventId, `"${body}"`, (e) => e.getContent().body === body);
    }

    /** Bodies of what this client has of the room's main timeline, oldest first, gaps bridged. */
    bodies(roomId) {
        const events = [];
        for (let part = this.room(roomId).getLiveTimeline(); part; part = part.getNeighbouringTimeline("b")) {
            events.unshift(...part.getEvents());
        }
        return events.filter((e) => e.getType() === "m.room.message").map((e) => e.getContent().body);
    }

    /** A request straight to the server, for what matrix-js-sdk has no call for. */
    async request(method, path, body, prefix = "/_matrix/client/v3") {
        return this.client.http.authedRequest(method, path.split("?")[0], Object.fromEntries(new URLSearchParams(path.split("?")[1] ?? "")), body, { prefix });
    }

    /** Waits until the server's backup holds so many keys, and gives what it says of it. */
    async backedUp(keys) {
        return until(`${keys} keys are backed up`, async () => {
            // Why not getKeyBackupInfo: the library answers from its memory.
            const info = await this.request("GET", "/room_keys/version");
            return info.count >= keys ? info : null;
        });
    }

    /** Makes cross-signing keys, secret storage and a key backup; gives the private recovery key. */
    async secure() {
        await this.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (make) => this.confirmed(make) });
        const key = await this.crypto.createRecoveryKeyFromPassphrase();
        await this.crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => key, setupNewKeyBackup: true });
        await until(`${this.id} backs up`, () => this.crypto.getActiveSessionBackupVersion());
        this.recoveryKey = key.privateKey;
        return key.privateKey;
    }
}
