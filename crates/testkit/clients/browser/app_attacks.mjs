// What does not open a web app: somebody else's launch, a launch used twice, an address that leads
// elsewhere, a name that no app has, a cookie after its owner has signed out, a forged header.
// settings: alice and bob ({name, password}), app and unknown (origins).
import assert from 'node:assert/strict';
import { test } from './lib.mjs';

await test(async (t) => {
  const { alice, bob, app, unknown } = t.settings;
  t.expect(/40[0134]|41\d/);
  const hers = await t.context();
  const page = await hers.newPage();
  await t.signIn(page, alice);

  const launch = await interceptedLaunch(page, app);
  const his = await t.context();
  const den = await his.newPage();
  await t.signIn(den, bob);
  await den.goto(launch);
  assert.ok(!(await his.cookies()).some((cookie) => isApps(cookie, app)), "bob is in with alice's launch");
  await den.goto(`${app}/headers`).catch(() => {});
  assert.match(await who(den, app), /bob/, 'bob is let in as himself');

  // Her own is still good: the thief has not used it up in her stead, or it is refused to her too.
  await page.goto(`${app}/deep/path?x=1&y=%2F`);
  await page.getByRole('heading', { name: 'The app' }).waitFor();
  assert.equal(await page.locator('#path').innerText(), '/deep/path?x=1&y=%2F', 'path and query are kept');
  assert.match(await who(page, app), /alice/);
  const again = await t.page();
  await again.goto(launch);
  assert.ok(!(await again.context().cookies()).some((cookie) => isApps(cookie, app)), 'a launch opens twice');

  await forgedHeaders(page, app);
  await page.goto(`${app}/away`);
  assert.equal(page.url(), `${app}/there?x=1`, "redirects to the app's own address stay on its public one");
  await launchesLeadToAppsOnly(t, page, app);

  const reply = await den.goto(`${unknown}/`);
  assert.ok(reply.status() >= 400, `an app that is none: ${reply.status()}`);
  assert.ok(new URL(den.url()).origin === unknown, 'and nobody is sent anywhere');

  await stolenAppCookie(t, hers, page, app);
  return {};
});

function isApps(cookie, app) {
  return cookie.domain === new URL(app).hostname && cookie.name === '__Host-causeway_app';
}

/** The address by which a launch would open the app, which is kept from the browser. */
async function interceptedLaunch(page, app) {
  let launch;
  await page.route(/x-causeway-auth/, (route) => { launch = route.request().url(); return route.abort(); });
  await page.goto(`${app}/`).catch(() => {});
  for (let tries = 0; !launch && tries < 100; tries += 1) await page.waitForTimeout(100);
  await page.unroute(/x-causeway-auth/);
  assert.ok(launch?.startsWith(app), `no launch: ${launch}`);
  return launch;
}

/** Whom the app is told of, by the token in the header. */
async function who(page, app) {
  if (!page.url().startsWith(app)) await page.goto(`${app}/headers`);
  await page.waitForURL((url) => url.origin === app);
  const headers = await page.evaluate(async () => (await fetch('/headers')).json());
  const token = headers.find(([name]) => name === 'teleport-jwt-assertion');
  assert.ok(token, `no token among ${headers.map(([name]) => name)}`);
  return Buffer.from(token[1].split('.')[1], 'base64url').toString();
}

async function forgedHeaders(page, app) {
  await page.goto(`${app}/headers`);
  const headers = await page.evaluate(async () => (await fetch('/headers', {
    headers: { 'teleport-jwt-assertion': 'forged', 'x-teleport-user': 'root', 'x-forwarded-for': '198.51.100.7', 'x-forwarded-host': 'evil.example', 'x-real-ip': '198.51.100.7', forwarded: 'for=198.51.100.7', 'x-causeway-client-addr': '198.51.100.7' },
  })).json());
  const text = JSON.stringify(headers);
  for (const forged of ['forged', '198.51.100.7', 'evil.example']) assert.ok(!text.includes(forged), `${forged} reaches the app: ${text}`);
  assert.ok(!text.includes('__Host-causeway'), 'our cookies reach the app');
}

async function launchesLeadToAppsOnly(t, page, app) {
  const host = new URL(app).host;
  const places = ['//evil.causeway.test/', 'https://evil.causeway.test/', '/\\evil.causeway.test/', '/\t/evil.causeway.test/', 'javascript:alert(1)', '@evil.causeway.test/', '/x\r\nLocation: https://evil.causeway.test/'];
  for (const path of places) {
    await page.goto(t.url(`/web/launch/${host}?path=${encodeURIComponent(path)}`)).catch(() => {});
    await page.waitForTimeout(300);
    const at = new URL(page.url());
    assert.ok(at.origin === app || at.origin === t.origin, `path ${JSON.stringify(path)} led to ${page.url()}`);
  }
  for (const evil of ['evil.causeway.test', `${host}.evil.causeway.test`, `${host}%2F@evil.causeway.test`, `evil.causeway.test%2F${host}`, `${host}%00.evil.causeway.test`]) {
    await page.goto(t.url(`/web/launch/${evil}?path=/`)).catch(() => {});
    await page.waitForTimeout(300);
    assert.equal(new URL(page.url()).origin, t.origin, `launching ${evil} led to ${page.url()}`);
  }
}

/** A copy of the app's cookie, used after its owner has signed out of the cluster. */
async function stolenAppCookie(t, context, page, app) {
  await page.goto(`${app}/headers`);
  const loot = (await context.cookies()).filter((cookie) => isApps(cookie, app));
  assert.equal(loot.length, 1);
  assert.ok(loot[0].httpOnly && loot[0].secure && loot[0].path === '/');
  const thief = await t.context();
  await thief.addCookies(loot);
  const den = await thief.newPage();
  assert.equal((await den.goto(`${app}/headers`)).status(), 200);
  await page.goto(t.url('/web/account'));
  await page.getByRole('button', { name: 'Sign out' }).first().click();
  await page.waitForURL((url) => url.pathname.startsWith('/web/login'));
  await den.goto(`${app}/headers`);
  assert.notEqual(new URL(den.url()).origin, app, 'the stolen cookie still opens the app');
}
