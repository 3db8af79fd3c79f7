import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import zlib from "node:zlib";

/** A PNG of the size: a gradient, so that a thumbnail of it looks like something. */
export function photo(width, height) {
    const rows = Buffer.alloc((width * 3 + 1) * height);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            rows.set([(255 * x) / width, (255 * y) / height, 128], y * (width * 3 + 1) + 1 + 3 * x);
        }
    }
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    return Buffer.concat([magic, chunk("IHDR", head), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    out.set(body, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
}

function crc32(data) {
    let crc = ~0;
    for (const byte of data) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc >>> 0;
}

const unpadded = (bytes) => bytes.toString("base64").replace(/=+$/, "");

/** Encrypts as clients do. Spec: client-server-api/#extensions-to-mroommessage-msgtypes */
export function encryptFile(bytes) {
    const key = randomBytes(32);
    const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
    const cipher = createCipheriv("aes-256-ctr", key, iv);
    const ciphertext = Buffer.concat([cipher.update(bytes), cipher.final()]);
    const jwk = { kty: "oct", key_ops: ["encrypt", "decrypt"], alg: "A256CTR", k: key.toString("base64url"), ext: true };
    return { ciphertext, file: { v: "v2", key: jwk, iv: unpadded(iv), hashes: { sha256: unpadded(createHash("sha256").update(ciphertext).digest()) } } };
}

/** Checks the hash and decrypts. */
export function decryptFile(ciphertext, file) {
    if (unpadded(createHash("sha256").update(ciphertext).digest()) !== file.hashes.sha256) throw new Error("the file's hash is wrong");
    const decipher = createDecipheriv("aes-256-ctr", Buffer.from(file.key.k, "base64url"), Buffer.from(file.iv, "base64"));
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}
