// matrix-js-sdk 43 asks for Node 22; Node 20 of Debian lacks only these.
if (!Promise.withResolvers) {
    Promise.withResolvers = function withResolvers() {
        let resolve, reject;
        const promise = new this((yes, no) => ([resolve, reject] = [yes, no]));
        return { promise, resolve, reject };
    };
}
