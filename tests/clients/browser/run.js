// Plays the first hour in Chromium:  node run.js SERVER FOLDER [CHROMIUM]
// Screenshots go to FOLDER. It ends with 1, and says why, when something is not as it should be.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const here = import.meta.dirname;
const [server, folder, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const patience = 120_000;

/** Bundles the page and serves it, with the WebAssembly of the crypto beside it. */
async function serve() {
    await build({ entryPoints: [path.join(here, "page.js")], bundle: true, format: "esm", outfile: path.join(here, "page.bundle.js"), logLevel: "error", define: { global: "globalThis" } });
    const wasm = path.join(here, "node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm");
    const files = {
        "/": ["page.html", "text/html"],
        "/page.bundle.js": ["page.bundle.js", "text/javascript"],
        "/pkg/matrix_sdk_crypto_wasm_bg.wasm": [wasm, "application/wasm"],
    };
    const listener = http.createServer(async (request, response) => {
        const [file, type] = files[request.url.split("?")[0]] ?? [];
        if (!file) return response.writeHead(404).end();
        response.writeHead(200, { "Content-Type": type }).end(await fs.readFile(path.resolve(here, file)));
    });
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return `http://localhost:${listener.address().port}/?server=${encodeURIComponent(server)}`;
}

/** Somebody at a browser of their own. */
async function visitor(browser, address, name) {
    const context = await browser.newContext({ viewport: { width: 900, height: 760 } });
    context.setDefaultTimeout(patience);
    const page = await context.newPage();
    page.problems = [];
    page.on("pageerror", (err) => page.problems.push(err.message));
    page.on("console", (line) => line.type() === "error" && page.problems.push(line.text()));
    await page.goto(address);
    await page.fill("[name=name]", name);
    await page.fill("[name=password]", `correct horse ${name}`);
    await page.click("text=Register");
    await page.getByText(`@${name}:`).filter({ hasText: /PREPARED|SYNCING/ }).waitFor();
    return page;
}

async function says(page, text) {
    await page.fill("[name=text]", text);
    await page.click("text=Send");
    await page.locator("li", { hasText: text }).waitFor();
}

const reads = (page, text) => page.locator("li", { hasText: text }).waitFor();

/** Waits for a picture that is really drawn, of the size that was sent. */
async function sees(page, width) {
    await page.waitForFunction((w) => document.querySelector("#timeline img")?.naturalWidth === w, width);
}

async function shows(page, name) {
    await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

async function play(browser) {
    const address = await serve();
    const bob = await visitor(browser, address, "bob");
    const alice = await visitor(browser, address, "alice");
    await shows(alice, "1-registered");
    const bobID = (await bob.textContent("#me")).split(",")[0];
    await alice.fill("[name=room]", "Kitchen");
    await alice.fill("[name=invite]", bobID);
    await alice.click("text=Create");
    await alice.getByText("Kitchen (1 in it, encrypted)").waitFor();
    await bob.click("text=Kitchen: join");
    await alice.getByText("Kitchen (2 in it, encrypted)").waitFor();
    await bob.getByText("Kitchen (2 in it, encrypted)").waitFor();
    await says(alice, "What is for dinner?");
    await reads(bob, "What is for dinner?");
    await says(bob, "Look:");
    await alice.screenshot({ path: path.join(folder, "dinner.png"), clip: { x: 0, y: 0, width: 400, height: 200 } });
    await bob.setInputFiles("#picture", path.join(folder, "dinner.png"));
    await sees(bob, 400);
    await sees(alice, 400);
    await shows(alice, "2-picture");

    await alice.reload();
    await alice.click("button:has-text('Kitchen')");
    await reads(alice, "What is for dinner?");
    await sees(alice, 400);
    await says(bob, "Still there?");
    await reads(alice, "Still there?");
    await says(alice, "After a reload, yes");
    await reads(bob, "After a reload, yes");
    await shows(alice, "3-reloaded-alice");
    await shows(bob, "3-reloaded-bob");

    await bob.click("text=Leave this room");
    await bob.locator("#rooms button").waitFor({ state: "detached" });
    await alice.getByText("Kitchen (1 in it, encrypted)").waitFor();
    await says(alice, "He has gone");
    await bob.reload();
    await bob.getByText("@bob:").filter({ hasText: /PREPARED|SYNCING/ }).waitFor();
    assert.equal(await bob.locator("#rooms button").count(), 0);
    await shows(bob, "4-left-bob");
    await shows(alice, "4-left-alice");
    for (const page of [alice, bob]) {
        assert.equal(await page.textContent("#error"), "");
        // Chromium complains of what is asked for on purpose: the flows of a registration (401), optional endpoints (404).
        assert.deepEqual(page.problems.filter((p) => !/responded with a status of (401|404)/.test(p)), []);
        assert.equal(await page.locator("[data-type='m.room.encrypted'], [data-type='m.bad.encrypted']").count(), 0);
    }
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
    await play(browser);
} catch (err) {
    for (const [i, context] of browser.contexts().entries()) {
        for (const page of context.pages()) {
            console.log(`${await page.textContent("body").catch(() => "")}\n${page.problems.slice(-20).join("\n")}`);
            await page.screenshot({ path: path.join(folder, `failed-${i}.png`) }).catch(() => {});
        }
    }
    console.log(err.stack);
    process.exitCode = 1;
} finally {
    await browser.close();
}
process.exit();
