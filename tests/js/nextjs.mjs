// Drives the files of docs/guides/nextjs.md, bundled as Next would bundle them, against a real edge. Next's cookies are those of `next-headers.mjs`.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { jar } from 'next/headers';
import { nebula, NebulaError } from './lib/nebula';
import { accessToken } from './lib/session';
import { people } from './lib/people';
import { addPerson } from './app/people/actions';
import * as session from './app/api/session/route';
import * as webhook from './app/api/webhooks/nebula/route';
import { appointments, may } from './lib/supabase';

const { OPERATOR_KEY, SUPABASE_TOKEN } = process.env;
const tenant = 'guia-nextjs';
const made = await nebula('/v1/tenants', {
  method: 'POST', token: OPERATOR_KEY, idempotencyKey: randomUUID(),
  body: { slug: tenant, name: 'Guia', packageKey: 'base', adminUser: { email: 'ana@guia.example', name: 'Ana' } },
});
await nebula('/v1/auth/password', { method: 'POST', body: { token: made.invite.token, password: 'uma senha comprida' } });

const post = (body, type = 'application/json') =>
  session.POST(new Request('https://app.example/api/session', { method: 'POST', headers: { 'content-type': type }, body: JSON.stringify(body) }));
const credentials = { tenant, email: 'ana@guia.example', password: 'uma senha comprida' };

// Nobody yet.
assert.equal(await people(), null);
assert.equal((await post(credentials, 'text/plain')).status, 415);
const wrong = await post({ ...credentials, password: 'uma outra senha' });
assert.deepEqual([wrong.status, (await wrong.json()).code], [401, 'INVALID_CREDENTIALS']);
assert.equal(jar.size, 0);

assert.equal((await post(credentials)).status, 204);
for (const [name, path] of [['nebula_access', '/'], ['nebula_refresh', '/api/session']]) {
  const { options } = jar.get(name);
  assert.equal(options.httpOnly, true);
  assert.equal(options.sameSite, 'lax');
  assert.equal(options.path, path);
  assert.ok(options.maxAge > 0);
}
assert.deepEqual((await people()).map((person) => person.name), ['Ana']);

// One form sent twice is one person; another person with its key is refused, and so is a bad address.
const form = (fields) => Object.entries(fields).reduce((data, [name, value]) => (data.set(name, value), data), new FormData());
const key = randomUUID();
const bia = { key, name: 'Bia', email: 'bia@guia.example' };
const first = await addPerson(form(bia));
assert.ok(first.id);
assert.deepEqual(await addPerson(form(bia)), first);
assert.deepEqual(await addPerson(form({ ...bia, name: 'Caio' })), { refused: 'IDEMPOTENCY_KEY_REUSED' });
assert.deepEqual(await addPerson(form({ key: randomUUID(), name: 'X', email: 'none' })), { refused: 'VALIDATION_ERROR' });
assert.equal((await people()).length, 2);

// Renewing: without the access token the page has nothing; the route brings another one and leads back, and nowhere else.
const before = await accessToken();
jar.delete('nebula_access');
assert.equal(await people(), null);
const renewed = (next) => session.GET(new Request(`https://app.example/api/session?next=${encodeURIComponent(next)}`));
const back = await renewed('/people?page=2');
assert.deepEqual([back.status, back.headers.get('location')], [303, '/people?page=2']);
assert.notEqual(await accessToken(), before);
assert.equal((await people()).length, 2);
for (const elsewhere of ['https://evil.example/', '//evil.example', '/\\evil.example']) {
  const location = (await renewed(elsewhere)).headers.get('location');
  assert.ok(location.startsWith('/') && !location.startsWith('//') && !location.includes('evil'), location);
}

// After logging out the token counts no more, and the cookies are gone.
const last = await accessToken();
assert.equal((await session.DELETE()).status, 204);
assert.equal(await accessToken(), undefined);
await assert.rejects(nebula('/v1/me', { token: last }), (error) => error instanceof NebulaError && error.status === 401 && Boolean(error.requestId));
assert.equal((await renewed('/people')).headers.get('location'), '/login');

// Events: what is signed is taken, what is altered is not.
const body = JSON.stringify({ id: 'e1', type: 'user.created', version: 1, tenantId: 't', createdAt: new Date().toISOString(), data: {} });
const signature = new Webhook(process.env.NEBULA_WEBHOOK_SECRET).sign('e1', new Date(), body);
const deliver = (text) => {
  const headers = { 'webhook-id': 'e1', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': signature };
  return webhook.POST(new Request('https://app.example/api/webhooks/nebula', { method: 'POST', headers, body: text }));
};
assert.equal((await deliver(body)).status, 204);
assert.equal((await deliver(body.replace('user.created', 'user.deleted'))).status, 401);

// With supabase-js: the person's rows and rights, and the same token at the edge.
assert.deepEqual((await appointments(SUPABASE_TOKEN)).map((row) => row.patient), ['Davi']);
assert.equal(await may(SUPABASE_TOKEN, 'users.create'), true);
assert.equal(await may(SUPABASE_TOKEN, 'tenants.create'), false);
assert.equal((await nebula('/v1/me', { token: SUPABASE_TOKEN })).tenant.slug, 'acme');
console.log('ok');
