// An issuer of tokens that is not ours: keys, JWKS and signatures are jose's. Reads one JSON command a line, answers one JSON line each.
// Run by tests/src/jose.rs in the folder that has node_modules.
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';

const pairs = new Map();

const commands = {
  async generate({ alg, kid, curve }) {
    const pair = await generateKeyPair(alg, { extractable: true, crv: curve });
    pairs.set(kid, pair);
    return { jwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' }, pem: await exportSPKI(pair.publicKey) };
  },
  async sign({ kid, secret, header, claims }) {
    const key = secret === undefined ? pairs.get(kid).privateKey : new TextEncoder().encode(secret);
    return { token: await new SignJWT(claims).setProtectedHeader(header).sign(key) };
  },
  // A JWKS over TLS, with the given certificate.
  async serve({ cert, key, body }) {
    const server = createServer({ cert, key }, (_, response) => response.setHeader('content-type', 'application/json').end(body));
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    return { port: server.address().port };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...input } = JSON.parse(line);
  const answer = await commands[command](input).catch((error) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
