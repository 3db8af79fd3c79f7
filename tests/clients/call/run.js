// Plays a call of two people by Element Call in Chromium:  node run.js SERVER FOLDER MODE [CHROMIUM]
// MODE is compatibility or matrix_2_0. Screenshots go to FOLDER. It ends with 1, and says why, when something is not as it
// should be.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const here = import.meta.dirname;
const [server, folder, mode, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const patience = 120_000;
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml" };

/**
 * What Element Call is told: pictures are small, which is less to compute. Why nothing of the leave that the server sends for who falls
 * silent: were it due sooner than by default, a busy machine would be late with putting it off.
 */
const config = {
    matrix_rtc_mode: mode,
    matrix_rtc_session: { wait_for_key_rotation_ms: 500 },
    media_quality: { video: { max_resolution: 360, max_bitrate: 500_000, max_framerate: 10 } },
};

/** Serves the page, the WebAssembly of the crypto, and Element Call below the name of its mode. */
async function serve() {
    await build({ entryPoints: [path.join(here, "host.js")], bundle: true, format: "esm", outfile: path.join(here, "host.bundle.js"), logLevel: "error", define: { global: "globalThis" } });
    const packages = path.join(here, "node_modules");
    const find = (name) => {
        if (name === "/") return path.join(here, "host.html");
        if (name === "/host.bundle.js") return path.join(here, "host.bundle.js");
        if (name.startsWith("/pkg/")) return path.join(packages, "@matrix-org/matrix-sdk-crypto-wasm", name);
        return path.join(packages, "@element-hq/element-call-embedded/dist", name.slice(mode.length + 1));
    };
    const listener = http.createServer(async (request, response) => {
        const name = path.normalize(decodeURIComponent(request.url.split("?")[0]));
        if (name.endsWith("/config.json")) return response.end(JSON.stringify(config));
        const body = await fs.readFile(find(name)).catch(() => null);
        if (!body) return response.writeHead(404).end();
        response.writeHead(200, { "Content-Type": types[path.extname(find(name))] ?? "application/octet-stream" }).end(body);
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return `http://localhost:${listener.address().port}/?server=${encodeURIComponent(server)}`;
}

/** Waits for something, but not for ever. */
async function within(what, promise, time = patience, left = time) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not within ${time / 1000} s: ${what}`)), left); });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/** Waits until something is true, asking again and again. */
async function until(what, ask, time = patience) {
    const end = Date.now() + time;
    while (!(await within(what, ask(), time, Math.max(end - Date.now(), 1)))) await new Promise((resolve) => setTimeout(resolve, 200));
    step(what);
}

/** Says what has been reached, and when. */
const began = Date.now();
const step = (what) => console.log(`${((Date.now() - began) / 1000).toFixed(1)} s: ${what}`);

/** Has the page of somebody do something. */
async function host(person, name, ...args) {
    const answer = await within(`${person.name}: ${name}`, person.page.evaluate(([n, a]) => window.host[n](...a), [name, args]));
    step(`${person.name}: ${name}`);
    return answer;
}

/** Somebody at a browser of their own, whose camera shows Chromium's moving test picture; added to the people at once. */
async function visitor(address, name, people) {
    const person = { name, lines: [] };
    people.push(person);
    person.program = await chromium.launchServer({ executablePath, timeout: patience, args: ["--no-sandbox", "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream=device-count=1,fps=10", "--autoplay-policy=no-user-gesture-required",
        "--allow-loopback-in-peer-connection"] });
    const browser = await chromium.connect(person.program.wsEndpoint(), { timeout: patience });
    const context = await within(`${name}: a window`, browser.newContext({ viewport: { width: 900, height: 700 }, permissions: ["camera", "microphone"] }));
    context.setDefaultTimeout(patience);
    await within(`${name}: the script that sees connections`, context.addInitScript(() => {
        const Native = window.RTCPeerConnection;
        window.connections = [];
        window.RTCPeerConnection = class extends Native { constructor(...a) { super(...a); window.connections.push(this); } };
    }));
    person.page = await within(`${name}: a page`, context.newPage());
    person.page.on("pageerror", (err) => person.lines.push(err.message));
    person.page.on("console", (line) => person.lines.push(line.text()));
    await person.page.goto(address);
    await person.page.waitForFunction("window.host");
    person.id = await host(person, "enter", name);
    return person;
}

const frame = (person) => person.page.frames().find((f) => f.url().includes(`/${mode}/`));

/** What was received so far: frames that were decoded, hence decrypted too, and packets of sound. */
async function received(person) {
    return frame(person).evaluate(async () => {
        const sum = { frames: 0, sound: 0, lost: 0, remote: [] };
        for (const connection of window.connections) {
            if (connection.connectionState === "closed") continue;
            for (const s of (await connection.getStats()).values()) {
                if (s.type === "inbound-rtp" && s.kind === "video") sum.frames += s.framesDecoded ?? 0;
                if (s.type === "inbound-rtp" && s.kind === "audio") sum.sound += (s.packetsReceived ?? 0);
                if (s.type === "remote-candidate") sum.remote.push(`${s.address}:${s.port}`);
            }
        }
        return sum;
    });
}

/** Whether the picture of somebody else moves: two looks at it differ. */
async function moves(person) {
    return frame(person).evaluate(async () => {
        const look = (video) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
            canvas.getContext("2d").drawImage(video, 0, 0, 64, 48);
            return canvas.getContext("2d").getImageData(0, 0, 64, 48).data.join();
        };
        const videos = [...document.querySelectorAll("video")].filter((v) => v.videoWidth > 0);
        if (videos.length < 2) return false;
        const before = videos.map(look);
        await new Promise((resolve) => setTimeout(resolve, 700));
        return videos.every((v, i) => look(v) !== before[i]);
    });
}

const shows = (person, name) => person.page.screenshot({ path: path.join(folder, `${mode}-${name}-${person.name}.png`) });

async function play(people) {
    const address = await within("the page is built", serve());
    for (const name of ["alice", "bob"]) await visitor(address, `${name}-${mode.replaceAll("_", "-")}`, people);
    const [alice, bob] = people;
    const room = await host(alice, "create", bob.id);
    await host(bob, "join", room);
    for (const person of people) {
        await host(person, "members", room, 2);
        await host(person, "call", room, mode);
    }
    for (const person of people) {
        await until(`${person.name} sees and hears the other`, async () => frame(person) && await received(person).then((r) => r.frames > 50 && r.sound > 100, () => false));
        await until(`${person.name} sees a moving picture`, () => moves(person));
    }
    for (const person of people) {
        await shows(person, "call");
        const remote = (await within(`${person.name}: where media comes from`, received(person))).remote;
        assert.ok(remote.length > 0 && remote.every((a) => a.startsWith("127.0.0.1:")), `media goes elsewhere: ${remote}`);
        // What was decoded had been encrypted: with the other's key, which came by Olm.
        const other = people.find((p) => p !== person);
        assert.ok(person.lines.some((l) => /Received key over transport/.test(l) && l.includes(other.id)), "no key came");
    }
    // Why until: on a machine that stands still for some seconds the server sends somebody's leave, and he comes back.
    await until("both are in the call", async () => {
        const there = await alice.page.evaluate((id) => window.host.inCall(id), room);
        return there.sort().join() === [alice.id, bob.id].sort().join();
    });
    // A browser that is killed says no good-bye: what it left with the server says it.
    bob.program.process().kill("SIGKILL");
    await until("the killed browser's person is out of the call", async () => !(await alice.page.evaluate((id) => window.host.inCall(id), room)).includes(bob.id));
    await until("one picture is left", () => frame(alice).evaluate(() => [...document.querySelectorAll("video")].filter((v) => v.videoWidth > 0).length === 1));
    await shows(alice, "alone");
}

/** Tells what is known of those for whom something went wrong: what their pages know first, then the last lines of their consoles. */
async function tell(people) {
    const known = async (what, ask) => console.log(what, await within(what, ask(), 5_000).then((v) => JSON.stringify(v), (err) => err.message));
    for (const person of people) {
        await known(`${person.name}'s page:`, () => person.page.evaluate(() => window.host.state()));
        await known(`${person.name} received:`, () => received(person));
        await known(`${person.name}'s screen:`, () => person.page.screenshot({ path: path.join(folder, `${mode}-failed-${person.name}.png`) }).then(() => "kept"));
    }
    for (const person of people) {
        const lines = person.lines.filter((l) => !/^DEBUG|FetchHttpApi|Perf|PostmessageTransport|matrix_sdk_indexeddb|MembershipManager|^Queue: |^Date.now: |webrtc stats|skipping decryption/.test(l));
        console.log(`--- ${person.name}\n${lines.slice(-60).map((l) => l.split("\n").slice(0, 3).join("\n").slice(0, 600)).join("\n")}`);
    }
}

const people = [];
try {
    await within("the whole of it", play(people), 420_000);
} catch (err) {
    console.log(err.stack);
    await tell(people);
    process.exitCode = 1;
} finally {
    await Promise.allSettled(people.map((person) => within("the browser ends", person.program.kill(), 10_000)));
}
process.exit();
