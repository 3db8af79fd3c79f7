// The page: the smallest web client that does what people do first. It runs in Chromium, on matrix-js-sdk with Rust
// crypto and IndexedDB, and remembers its session as web clients do.
import * as sdk from "matrix-js-sdk";

const server = new URLSearchParams(location.search).get("server");
const at = (id) => document.getElementById(id);
let client, current;

at("register").onsubmit = (event) => act(event, async () => {
    const form = new FormData(event.target);
    const stranger = sdk.createClient({ baseUrl: server });
    const body = { username: form.get("name"), password: form.get("password"), initial_device_display_name: "browser" };
    let answer;
    try {
        answer = await stranger.registerRequest(body);
    } catch (err) {
        if (!err.data?.flows) throw err;
        answer = await stranger.registerRequest({ ...body, auth: { type: "m.login.dummy", session: err.data.session } });
    }
    localStorage.session = JSON.stringify({ userId: answer.user_id, deviceId: answer.device_id, accessToken: answer.access_token });
    await enter();
});

at("create").onsubmit = (event) => act(event, async () => {
    const form = new FormData(event.target);
    const { room_id: id } = await client.createRoom({
        name: form.get("room"), preset: "private_chat", invite: form.get("invite").split(" ").filter(Boolean),
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    current = id;
    draw();
});

at("say").onsubmit = (event) => act(event, async () => {
    const body = new FormData(event.target).get("text");
    await client.sendMessage(current, { msgtype: "m.text", body });
    event.target.reset();
});

at("picture").onchange = (event) => act(event, async () => {
    const [file] = event.target.files;
    const key = await crypto.subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
    const iv = new Uint8Array(16);
    crypto.getRandomValues(iv.subarray(0, 8));
    const secret = await crypto.subtle.encrypt({ name: "AES-CTR", counter: iv, length: 64 }, key, await file.arrayBuffer());
    const { content_uri: url } = await client.uploadContent(new Blob([secret]), { type: "application/octet-stream", includeFilename: false });
    await client.sendMessage(current, {
        msgtype: "m.image", body: file.name, info: { mimetype: file.type, size: file.size },
        file: { v: "v2", url, iv: base64(iv), key: await crypto.subtle.exportKey("jwk", key), hashes: { sha256: base64(await crypto.subtle.digest("SHA-256", secret)) } },
    });
});

at("leave").onclick = (event) => act(event, async () => {
    await client.leave(current);
    draw();
});

const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/=+$/, "");
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Does what a form is for, and shows what went wrong. */
async function act(event, fn) {
    event.preventDefault();
    at("error").textContent = "";
    await fn().catch((err) => (at("error").textContent = `${err.errcode ?? ""} ${err.message}`));
}

/** Starts the client of the remembered session. */
async function enter() {
    const session = JSON.parse(localStorage.session);
    client = sdk.createClient({ baseUrl: server, ...session });
    client.on(sdk.ClientEvent.Sync, draw);
    client.on(sdk.RoomEvent.Timeline, draw);
    client.on(sdk.RoomEvent.MyMembership, draw);
    client.on(sdk.MatrixEventEvent.Decrypted, draw);
    await client.initRustCrypto();
    await client.startClient({ initialSyncLimit: 20 });
    document.body.className = "in";
}

function draw() {
    const state = client.getSyncState();
    at("me").textContent = `${client.getUserId()}, ${client.getDeviceId()}: ${state}`;
    const here = client.getRooms().filter((room) => ["join", "invite"].includes(room.getMyMembership()));
    const wanted = here.map(door);
    // Why not each time: a button that is taken away while the mouse is down on it is not clicked.
    if (wanted.some((button, i) => at("rooms").children[i] !== button) || at("rooms").children.length !== wanted.length) at("rooms").replaceChildren(...wanted);
    const room = here.find((one) => one.roomId === current);
    at("room").hidden = !room;
    if (!room) {
        at("title").textContent = "";
        at("timeline").replaceChildren();
        return;
    }
    const encrypted = room.hasEncryptionStateEvent() ? "encrypted" : "readable by the server";
    at("title").textContent = `${room.name} (${room.getJoinedMemberCount()} in it, ${encrypted})`;
    const shown = room.getLiveTimeline().getEvents().filter((e) => ["m.room.message", "m.room.encrypted"].includes(e.getType()));
    at("timeline").replaceChildren(...shown.map(line));
}

const doors = new Map();

/** The button by which one goes into a room. */
function door(room) {
    const invited = room.getMyMembership() === "invite";
    const text = invited ? `${room.name}: join` : room.name;
    const key = `${room.roomId} ${text}`;
    if (doors.has(key)) return doors.get(key);
    const button = document.createElement("button");
    button.textContent = text;
    button.onclick = (event) => act(event, async () => {
        if (invited) await client.joinRoom(room.roomId);
        current = room.roomId;
        draw();
    });
    doors.set(key, button);
    return button;
}

const drawn = new Map();

function line(event) {
    const id = event.getId();
    const content = event.getContent();
    const key = `${id} ${content.body}`;
    if (drawn.has(key)) return drawn.get(key);
    const item = document.createElement("li");
    item.dataset.type = content.msgtype ?? event.getType();
    item.textContent = `${event.sender?.name ?? event.getSender()}: ${content.body ?? "…"}`;
    if (content.file) picture(content).then((image) => item.append(image), (err) => (item.textContent += ` (${err.message})`));
    drawn.set(key, item);
    return item;
}

/** Fetches and decrypts a picture. */
async function picture({ file, info }) {
    const address = client.mxcUrlToHttp(file.url, undefined, undefined, undefined, false, true, true);
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    if (!answer.ok) throw new Error(`the picture is answered by ${answer.status}`);
    const secret = await answer.arrayBuffer();
    const key = await crypto.subtle.importKey("jwk", file.key, "AES-CTR", false, ["decrypt"]);
    const plain = await crypto.subtle.decrypt({ name: "AES-CTR", counter: bytesOf(file.iv), length: 64 }, key, secret);
    const image = document.createElement("img");
    image.src = URL.createObjectURL(new Blob([plain], { type: info.mimetype }));
    await image.decode();
    return image;
}

if (localStorage.session) enter().catch((err) => (at("error").textContent = err.message));
