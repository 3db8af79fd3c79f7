import net from "node:net";

/** Passes bytes to the server, until the network is cut. */
export class Proxy {
    static async start(server) {
        const proxy = new Proxy();
        proxy.sockets = new Set();
        proxy.down = false;
        const target = new URL(server);
        proxy.listener = net.createServer((inside) => {
            if (proxy.down) return inside.destroy();
            const outside = net.connect(target.port, target.hostname);
            for (const [from, to] of [[inside, outside], [outside, inside]]) {
                proxy.sockets.add(from);
                from.pipe(to);
                from.on("error", () => to.destroy());
                from.on("close", () => {
                    proxy.sockets.delete(from);
                    to.destroy();
                });
            }
        });
        await new Promise((resolve) => proxy.listener.listen(0, "127.0.0.1", resolve));
        proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`;
        return proxy;
    }

    cut() {
        this.down = true;
        for (const socket of this.sockets) socket.destroy();
    }

    mend() {
        this.down = false;
    }

    stop() {
        this.cut();
        this.listener.close();
    }
}
