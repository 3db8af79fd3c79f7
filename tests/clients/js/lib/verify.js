import { VerificationPhase, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/verification.js";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/CryptoEvent.js";
import { until } from "./until.js";

/** Resolves with the next verification request that reaches the person. */
export function nextRequest(person) {
    return new Promise((resolve) => person.client.once(CryptoEvent.VerificationRequestReceived, resolve));
}

/** Compares emoji over a request that one side asked for and the other side got; both confirm what is equal. */
export async function compareEmoji(asked, got) {
    await until("the request is known", () => got.phase === VerificationPhase.Requested);
    await got.accept();
    await until("both sides are ready", () => asked.phase === VerificationPhase.Ready);
    const mine = await asked.startVerification("m.sas.v1");
    const theirs = await until("the other side started", () => got.verifier);
    const shown = [shownBy(mine), shownBy(theirs)];
    const finished = [mine.verify(), theirs.verify()];
    const [here, there] = await Promise.all(shown);
    const same = JSON.stringify(here.sas.emoji) === JSON.stringify(there.sas.emoji);
    if (!same || here.sas.emoji.length !== 7) throw new Error("the two sides show different emoji");
    await Promise.all([here.confirm(), there.confirm()]);
    await Promise.all(finished);
    await until("both are done", () => asked.phase === VerificationPhase.Done && got.phase === VerificationPhase.Done);
}

function shownBy(verifier) {
    return new Promise((resolve) => {
        const callbacks = verifier.getShowSasCallbacks();
        if (callbacks) resolve(callbacks);
        else verifier.once(VerifierEvent.ShowSas, resolve);
    });
}
