// Runs scenarios against a server and answers one line of JSON for each.
//
//   node run.js SERVER [SCENARIO...]     runs these (all without names), then ends
//   node run.js SERVER -                 runs the names that come on standard input, one on each line
//
// A line is {"scenario": ..., "ok": true|false, "error": ..., "log": [...]}; log is what the client library said last.
import "./lib/node20.js";
import fs from "node:fs";
import readline from "node:readline";
import { format } from "node:util";
import { World } from "./lib/world.js";

const said = [];
for (const level of ["debug", "log", "info", "warn", "error", "trace"]) {
    console[level] = (...args) => {
        const line = `${level}: ${format(...args)}`.slice(0, 400);
        if (level === "debug" || level === "trace" || line.includes("push rule")) return;
        said.push(line);
        if (said.length > 60) said.shift();
    };
}
// Why: a client that is stopped in the middle of a request leaves promises behind that nobody waits for.
process.on("unhandledRejection", (err) => console.warn("left behind:", err));

async function run(server, scenario) {
    said.length = 0;
    const world = new World(server);
    let error;
    try {
        const { default: play } = await import(`./scenarios/${scenario}.js`);
        await play(world);
    } catch (err) {
        error = `${err.stack ?? err}${err.cause ? `\ncause: ${err.cause.message}` : ""}`;
    }
    world.close();
    const answer = { scenario, ok: !error, error, log: error ? [...said] : undefined };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return !error;
}

function all() {
    return fs.readdirSync(new URL("./scenarios", import.meta.url)).map((f) => f.replace(/\.js$/, "")).sort();
}

const [server, ...names] = process.argv.slice(2);
let good = true;
if (names[0] === "-") {
    for await (const line of readline.createInterface({ input: process.stdin })) await run(server, line.trim());
} else {
    for (const name of names.length ? names : all()) good = (await run(server, name)) && good;
}
process.exit(good ? 0 : 1);
