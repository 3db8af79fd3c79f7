// The page: a client that shows Element Call as Element does, as a widget, and does for it what it may not do by itself:
// send and receive events, and encrypt what goes to other devices, by matrix-js-sdk with Rust crypto.
import * as sdk from "matrix-js-sdk";
import { ClientWidgetApi, OpenIDRequestState, Widget, WidgetDriver } from "matrix-widget-api";

const server = new URLSearchParams(location.search).get("server");
const at = (id) => document.getElementById(id);
let client;

/** What happened, for whoever asks why something did not: the last of it. */
const trace = [];
const began = Date.now();
function note(text) {
    trace.push(`${((Date.now() - began) / 1000).toFixed(1)} ${text}`);
    if (trace.length > 60) trace.shift();
}
window.addEventListener("message", ({ data }) => data?.action && note(`${data.api} ${data.action}${data.response ? " answered" : ""}${data.response?.error ? `: ${data.response.error.message}` : ""}`));

/** Waits until something holds. It is looked at after each answer of sync, when all that came with it is in place. */
async function until(holds) {
    while (!holds()) await new Promise((resolve) => client.once(sdk.ClientEvent.Sync, resolve));
}

/** An event as widgets are told of it: what was sent, not what was encrypted. */
const plain = (event) => event.getEffectiveEvent();

/** What the client does for the widget. It trusts it with all it asks for. */
class Driver extends WidgetDriver {
    constructor(room) { super(); this.room = room; }
    async validateCapabilities(requested) { return requested; }
    async sendEvent(type, content, stateKey) {
        const answer = stateKey === null || stateKey === undefined
            ? await client.sendEvent(this.room, type, content)
            : await client.sendStateEvent(this.room, type, content, stateKey);
        return { roomId: this.room, eventId: answer.event_id };
    }
    async sendStickyEvent(duration, type, content) {
        const answer = await client._unstable_sendStickyEvent(this.room, duration, null, type, content);
        return { roomId: this.room, eventId: answer.event_id };
    }
    async sendDelayedEvent(delay, type, content, stateKey) {
        const answer = stateKey === null || stateKey === undefined
            ? await client._unstable_sendDelayedEvent(this.room, { delay }, null, type, content)
            : await client._unstable_sendDelayedStateEvent(this.room, { delay }, type, content, stateKey);
        return { roomId: this.room, delayId: answer.delay_id };
    }
    async sendDelayedStickyEvent(delay, duration, type, content) {
        const answer = await client._unstable_sendStickyDelayedEvent(this.room, duration, { delay }, null, type, content);
        return { roomId: this.room, delayId: answer.delay_id };
    }
    cancelScheduledDelayedEvent(id) { return client._unstable_cancelScheduledDelayedEvent(id); }
    restartScheduledDelayedEvent(id) { return client._unstable_restartScheduledDelayedEvent(id); }
    sendScheduledDelayedEvent(id) { return client._unstable_sendScheduledDelayedEvent(id); }
    async sendToDevice(type, encrypted, contents) {
        if (!encrypted) throw new Error(`${type} is not sent in the clear`);
        for (const [userId, devices] of Object.entries(contents))
            for (const [deviceId, content] of Object.entries(devices)) {
                await knows(userId, deviceId);
                await client.encryptAndSendToDevice(type, [{ userId, deviceId }], content);
                note(`${type} to ${userId} ${deviceId}`);
            }
    }
    async readRoomTimeline(room, type, msgtype, stateKey, limit) {
        const events = client.getRoom(room).getLiveTimeline().getEvents().filter((e) => e.getType() === type);
        return events.slice(-limit).map(plain);
    }
    async readRoomState(room, type, stateKey) {
        const found = client.getRoom(room).getLiveTimeline().getState(sdk.EventTimeline.FORWARDS).getStateEvents(type, stateKey);
        return [found].flat().filter(Boolean).map(plain);
    }
    async readStickyEvents(room) { return [...client.getRoom(room)._unstable_getStickyEvents()].map(plain); }
    async askOpenID(observer) { observer.update({ state: OpenIDRequestState.Allowed, token: await client.getOpenIdToken() }); }
    async getRtcTransports() { return client.http.authedRequest("GET", "/rtc/transports", {}, undefined, { prefix: "/_matrix/client/unstable/org.matrix.msc4143" }); }
    getKnownRooms() { return [this.room]; }
    /** Tells the widget what the server said. Why: it takes an error without that for the network's, and gives up after some tries. */
    processError(err) { return err instanceof sdk.MatrixError ? { matrix_api_error: err.asWidgetApiErrorData() } : undefined; }
}

/** Makes an account and logs in; the name is unused. */
async function enter(name) {
    const stranger = sdk.createClient({ baseUrl: server });
    const answer = await stranger.registerRequest({ username: name, password: `correct horse ${name}`, auth: { type: "m.login.dummy" } });
    client = sdk.createClient({ baseUrl: server, userId: answer.user_id, deviceId: answer.device_id, accessToken: answer.access_token });
    note("has an account");
    await client.initRustCrypto();
    client.on(sdk.ClientEvent.Sync, (state, before) => state !== before && note(`sync ${state}`));
    await client.startClient({ initialSyncLimit: 20 });
    await until(() => client.isInitialSyncComplete());
    at("me").textContent = `${client.getUserId()}, ${client.getDeviceId()}`;
    return client.getUserId();
}

/** An encrypted room in which everybody may be in calls. */
async function create(invite) {
    const { room_id: id } = await client.createRoom({
        name: "Meeting", preset: "private_chat", invite: [invite],
        power_level_content_override: { events: { "org.matrix.msc3401.call.member": 0 } },
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    return id;
}

/**
 * Waits until a room has a number of members, as this client knows it. Why not by the client's events of membership: they come
 * before what they tell of is in place (a room that is new to the client is not among its rooms yet, the summary has the old
 * number), and after the last of them nothing comes any more.
 */
const members = (room, n) => until(() => client.getRoom(room)?.getJoinedMemberCount() >= n);

/** Shows the call of a room, in one of Element Call's modes. */
function call(room, mode) {
    const params = new URLSearchParams({
        roomId: room, userId: client.getUserId(), deviceId: client.getDeviceId(), baseUrl: server, lang: "en", theme: "light",
        intent: "join_existing", skipLobby: "true", perParticipantE2EE: "true", confineToRoom: "true", header: "none",
    });
    const url = `${location.origin}/${mode}/index.html?widgetId=call&parentUrl=${encodeURIComponent(location.href)}#?${params}`;
    const frame = document.createElement("iframe");
    frame.allow = "camera;microphone;autoplay";
    at("call").replaceChildren(frame); // a widget's window exists only within the page
    // Why not to wait for the frame: Element Call says by itself when it can be spoken to (content_loaded).
    const widget = new Widget({ id: "call", creatorUserId: client.getUserId(), type: "m.custom", url, waitForIframeLoad: false });
    const api = new ClientWidgetApi(widget, frame, new Driver(room));
    api.setViewedRoomId(room);
    for (const step of ["preparing", "ready", "error:preparing", "capabilitiesNotified"]) api.on(step, (err) => note(`widget ${step} ${err ?? ""}`));
    for (const action of ["io.element.join", "io.element.device_mute", "im.vector.hangup", "io.element.close", "set_always_on_screen"])
        api.on(`action:${action}`, (event) => { event.preventDefault(); api.transport.reply(event.detail, {}); });
    const tell = (event) => event.getRoomId() === room && !event.isBeingDecrypted() && api.feedEvent(plain(event)).catch(complain);
    client.on(sdk.RoomEvent.Timeline, tell);
    client.on(sdk.MatrixEventEvent.Decrypted, tell);
    client.on(sdk.RoomStateEvent.Events, (event) => event.getRoomId() === room && api.feedStateUpdate(plain(event)).catch(complain));
    client.on("RoomStickyEvents.Update", (added) => added.forEach(tell));
    client.on(sdk.ClientEvent.ReceivedToDeviceMessage, ({ message, encryptionInfo }) => {
        note(`${message.type} from ${message.sender}`);
        api.feedToDevice(message, encryptionInfo !== null).catch(complain);
    });
    frame.src = url;
}

/** Waits until a device is known, a minute at most. Why: what is sent to one that is not is dropped by the library, with a line in its log alone. */
async function knows(userId, deviceId) {
    for (let tries = 0; tries < 240; tries++) {
        const users = await client.getCrypto().getUserDeviceInfo([userId], true);
        if (users.get(userId)?.has(deviceId)) return;
        if (tries % 20 === 0) note(`waits for ${userId} ${deviceId}`);
        await new Promise((resolve) => setTimeout(resolve, 250));
    }
    throw new Error(`${userId} ${deviceId} is not known`);
}

function complain(err) {
    at("error").textContent = err.message;
    note(err.message);
}

/** What this page knows, for whoever asks why something did not happen. */
const state = () => ({ sync: client?.getSyncState(), rooms: client?.getRooms().map((r) => `${r.roomId} ${r.getMyMembership()} ${r.getJoinedMemberCount()}`), trace });

/** Who is in the call, by the state of the room and its sticky events. */
function inCall(room) {
    const known = client.getRoom(room);
    const state = known.getLiveTimeline().getState(sdk.EventTimeline.FORWARDS).getStateEvents("org.matrix.msc3401.call.member");
    const sticky = [...known._unstable_getStickyEvents()].filter((e) => /rtc\.member$/.test(e.getType()));
    return [...state, ...sticky].filter((e) => e.getContent().application).map((e) => e.getSender());
}

window.host = { enter, create, members, call, inCall, state, join: (room) => client.joinRoom(room) };
