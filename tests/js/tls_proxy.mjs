// Ends TLS before a port of this machine: node --input-type=module -e … <certificate> <key> <port>. Prints its own port; ends with its standard input.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';

const [certificate, key, port] = process.argv.slice(1);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (client) => {
  const target = connect(Number(port), '127.0.0.1');
  client.pipe(target).pipe(client);
  client.on('error', () => target.destroy());
  target.on('error', () => client.destroy());
});
server.on('tlsClientError', () => {});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
