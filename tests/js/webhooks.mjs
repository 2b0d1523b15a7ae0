// Verifies a webhook by the official package of npm. Reads {secret, headers, body} as JSON, prints "verified" or why not.
// Run by tests/src/standard_webhooks.rs in the folder that has node_modules.
import { readFileSync } from 'node:fs';
import { Webhook } from 'standardwebhooks';

const { secret, headers, body } = JSON.parse(readFileSync(0, 'utf8'));
try {
  new Webhook(secret).verify(body, headers);
  console.log('verified');
} catch (error) {
  console.log(`refused: ${error.message}`);
}
