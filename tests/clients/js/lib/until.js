// How long anything that must happen may take. Nothing is asserted about time; this only ends a hopeless wait.
export const patience = 120_000;

/**
 * Asks `probe` until it gives something, and gives that. A probe that throws is asked again; its last error is told
 * when patience ends.
 */
export async function until(what, probe) {
    const end = Date.now() + patience;
    let last;
    for (;;) {
        try {
            const got = await probe();
            if (got) return got;
        } catch (err) {
            last = err;
        }
        if (Date.now() > end) {
            throw new Error(`never happened: ${what}${last ? ` (${last.message})` : ""}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

/** Expects a request to be refused with the error code, and gives the error. */
export async function refused(errcode, promise) {
    let got;
    try {
        got = await promise;
    } catch (err) {
        if (err.errcode === errcode) return err;
        throw new Error(`refused with ${err.errcode ?? err.message}, expected ${errcode}`, { cause: err });
    }
    throw new Error(`expected ${errcode}, but it was done: ${JSON.stringify(got)}`);
}
