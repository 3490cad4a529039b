// A web app on its own host: in by the launch, WebSocket, events, forms, cookies, tokens, out again; and what thieves
// and forgers get. settings: app (its origin), other (another app's origin), name, password, locked and open (files).
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { test } from './lib.mjs';

/** Asks as a program does that is bound to nothing: any cookie, any header, no redirect followed. */
function ask(url, headers = {}, method = 'GET') {
  const { hostname, host, port, pathname, search } = new URL(url);
  return new Promise((done, failed) => {
    const options = {
      host: '127.0.0.1', port, servername: hostname, path: pathname + search, method, rejectUnauthorized: false,
      headers: { host, ...headers },
    };
    request(options, (reply) => { reply.resume(); done({ status: reply.statusCode, location: reply.headers.location }); })
      .on('error', failed).end();
  });
}

await test(async (t) => {
  const { app, other, open, locked } = t.settings;
  t.expect(/40[0-9]|echo\./);
  const page = await t.page();
  let code;
  page.on('request', (request) => { if (request.url().includes('/x-causeway-auth?')) code = request.url(); });

  // In, with path and query as they were.
  const wanted = `${app}/page?a=1%2F2&b=%20x`;
  await page.goto(wanted);
  assert.equal(new URL(page.url()).origin, t.origin, 'sent to sign in');
  await t.signIn(page, t.settings);
  await page.waitForURL(wanted);
  assert.ok(code.startsWith(`${app}/x-causeway-auth?`), code);
  const cookies = await page.context().cookies(app);
  const held = cookies.find(({ name }) => name === '__Host-causeway_app');
  assert.ok(held.secure && held.httpOnly && held.sameSite === 'Lax');
  assert.ok(!cookies.some(({ name }) => name.endsWith('_state')), 'the state is spent');

  // What the app sees.
  const seen = await page.evaluate(async () => {
    const headers = { 'x-forwarded-for': '10.9.9.9', 'teleport-jwt-assertion': 'forged', 'x-real-ip': '10.9.9.9' };
    return (await fetch('/echo//a/../b%2Fc?q=1+2', { headers })).json();
  });
  const header = (name) => seen.headers.filter(([key]) => key === name).map(([, value]) => value).join('|');
  assert.equal(header('x-forwarded-for'), '127.0.0.1');
  assert.equal(header('x-forwarded-host'), new URL(app).host);
  assert.ok(!JSON.stringify(seen.headers).includes('__Host-causeway'), 'our cookies stay with us');
  assert.ok(!JSON.stringify(seen.headers).includes('10.9.9.9'));
  const token = header('teleport-jwt-assertion').split('.');
  assert.equal(token.length, 3, 'a token of ours, and one only');
  const claims = JSON.parse(Buffer.from(token[1], 'base64url'));
  assert.equal(claims.username, t.settings.name);

  // WebSocket, events, a form, cookies.
  const spoken = await page.evaluate(() => new Promise((done, failed) => {
    const socket = new WebSocket(`wss://${location.host}/ws`);
    socket.onopen = () => socket.send('ping');
    socket.onmessage = ({ data }) => { done(data); socket.close(); };
    socket.onerror = failed;
  }));
  assert.equal(spoken, 'ping');
  const told = await page.evaluate(() => new Promise((done) => {
    const events = new EventSource('/events');
    events.onmessage = ({ data }) => { if (data === '2') { events.close(); done(data); } };
  }));
  assert.equal(told, '2');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.waitForURL(`${app}/page?from=form`);
  await page.evaluate(() => fetch('/cookies'));
  const after = await page.context().cookies(app);
  assert.equal(after.find(({ name }) => name === 'mine').value, '1');
  assert.equal(after.find(({ name }) => name === '__Host-causeway_app').value, held.value, 'the app cannot set it');

  // A code is spent, and good in its own browser only; the cookie is good for its own app only.
  const mine = `__Host-causeway_app=${held.value}`;
  for (const cookie of [mine, '', `__Host-causeway_app_state=${new URL(code).searchParams.get('state')}`]) {
    assert.equal((await ask(code, { cookie })).status, 400, cookie);
  }
  assert.equal((await ask(`${app}/page`, { cookie: mine })).status, 200, 'the cookie is what counts');
  const elsewhere = await ask(`${other}/page`, { cookie: mine });
  assert.equal(elsewhere.status, 302);
  assert.ok(elsewhere.location.startsWith(`${t.origin}/web/launch/`));
  assert.equal((await ask(app.replace('echo.', 'nobody.'), { cookie: mine })).status, 404);
  assert.equal((await ask(`${app}/page`, { cookie: mine, host: new URL(other).host })).status, 302);

  // A page of another origin may not post, nor open a WebSocket.
  const foreign = { cookie: mine, origin: other, 'sec-fetch-site': 'same-site' };
  assert.equal((await ask(`${app}/echo`, foreign, 'POST')).status, 403);
  const socket = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' };
  assert.equal((await ask(`${app}/ws`, { ...foreign, ...socket })).status, 403);

  // The launch leads nowhere else.
  const signedIn = (await page.context().cookies(t.origin)).map(({ name, value }) => `${name}=${value}`).join('; ');
  for (const path of ['https://evil.causeway.test/', '//evil.causeway.test/x', '/\\evil.causeway.test', 'javascript:1']) {
    await page.goto(t.url(`/web/launch/${new URL(app).hostname}?path=${encodeURIComponent(path)}`));
    await page.waitForURL((url) => url.origin === app);
  }
  const unknown = await ask(t.url('/web/launch/evil.causeway.test?path=/'), { cookie: signedIn });
  assert.equal(unknown.status, 404);

  // The token is signed by a key of the proxy's page.
  const keys = await t.page();
  await keys.goto(t.url('/.well-known/jwks.json'));
  const jwks = JSON.parse(await keys.locator('body').innerText());
  const { kid } = JSON.parse(Buffer.from(token[0], 'base64url'));
  const key = createPublicKey({ key: jwks.keys.find((jwk) => jwk.kid === kid), format: 'jwk' });
  const signed = Buffer.from(token.slice(0, 2).join('.'));
  assert.ok(verify('sha256', signed, key, Buffer.from(token[2], 'base64url')), 'the token is signed');

  // Out, and in again; the old cookie is dead.
  await page.goto(`${app}/x-causeway-logout`);
  assert.equal((await ask(`${app}/page`, { cookie: mine })).status, 302);
  await page.goto(`${app}/page`);
  await page.waitForURL(`${app}/page`);

  // A lock cuts what is open.
  await page.evaluate(() => new Promise((done) => {
    window.socket = new WebSocket(`wss://${location.host}/ws`);
    window.ended = new Promise((ended) => { window.socket.onclose = () => ended(Date.now()); });
    window.socket.onopen = done;
  }));
  writeFileSync(open, '');
  while (!existsSync(locked)) await new Promise((done) => setTimeout(done, 10));
  const start = Date.now();
  const ended = await page.evaluate(() => window.ended);
  const [kept] = (await page.context().cookies(app)).filter(({ name }) => name === '__Host-causeway_app');
  assert.notEqual((await ask(`${app}/page`, { cookie: `__Host-causeway_app=${kept.value}` })).status, 200);
  return { after: ended - start };
});
