// What another site, a thief of a cookie or an injected script gets: nothing.
// settings: alice and bob ({name, password, secret}), evil (origin of a page of another site's).
import assert from 'node:assert/strict';
import { test } from './lib.mjs';

await test(async (t) => {
  const { alice, evil } = t.settings;
  const context = await t.context();
  const page = await context.newPage();
  await t.signIn(page, alice);

  await scriptsDoNotRun(t, page);
  await anotherSitesFormIsRefused(t, context, evil);
  await framesAreRefused(t, context, evil);
  await openRedirects(t, alice);
  await cookies(t, context);
  await stolenCookie(t, context, page);
  return {};
});

/** A script in the page's own text, were it ever injected, is blocked by the policy. */
async function scriptsDoNotRun(t, page) {
  t.expect(/Content Security Policy/);
  await page.goto(t.url('/web/apps'));
  await page.evaluate(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(event.effectiveDirective));
    const inline = document.createElement('script');
    inline.textContent = 'globalThis.ran = true';
    document.body.append(inline);
    const foreign = document.createElement('script');
    foreign.src = 'https://evil.causeway.test/x.js';
    document.body.append(foreign);
    const button = document.createElement('button');
    button.setAttribute('onclick', 'globalThis.ran = true');
    document.body.append(button);
    button.click();
    const image = document.createElement('img');
    image.src = 'https://evil.causeway.test/x.png';
    document.body.append(image);
    const style = document.createElement('style');
    style.textContent = 'body { display: none }';
    document.body.append(style);
  });
  await page.waitForFunction(() => globalThis.violations.length >= 4);
  assert.equal(await page.evaluate(() => globalThis.ran), undefined, 'an injected script ran');
  const kinds = await page.evaluate(() => globalThis.violations);
  for (const kind of ['script-src-elem', 'script-src-attr', 'img-src', 'style-src-elem']) assert.ok(kinds.includes(kind), `${kind} of ${kinds}`);
}

/** A form on another site's page, sent with the victim's browser. */
async function anotherSitesFormIsRefused(t, context, evil) {
  t.expect(/403/);
  for (const [path, fields] of [
    ['/web/logout', {}],
    ['/web/account/password', { password: 'an attacker chose this', confirm: 'an attacker chose this' }],
    ['/web/users/new', { name: 'mallory', roles: 'editor' }],
    ['/web/login', { user: 'mallory', password: 'an attacker knows this' }],
  ]) {
    const page = await context.newPage();
    await page.goto(evil);
    const sent = page.waitForResponse((reply) => reply.url() === t.url(path));
    await page.evaluate(([action, all]) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', action });
      for (const [name, value] of Object.entries({ csrf: 'x', ...all })) form.append(Object.assign(document.createElement('input'), { name, value }));
      document.body.append(form);
      form.submit();
    }, [t.url(path), fields]);
    const reply = await sent;
    assert.equal(reply.status(), 403, `${path} from another site`);
    await page.close();
  }
  const page = await context.newPage();
  await page.goto(t.url('/web/account'));
  await page.getByRole('heading', { name: 'Account' }).waitFor();
  await page.close();
}

async function framesAreRefused(t, context, evil) {
  t.expect(/frame|refused to connect|X-Frame-Options|ERR_BLOCKED_BY_RESPONSE/i);
  const page = await context.newPage();
  await page.goto(evil);
  await page.evaluate((src) => new Promise((done) => {
    const frame = Object.assign(document.createElement('iframe'), { src, onload: done });
    document.body.append(frame);
    setTimeout(done, 3000);
  }), t.url('/web/apps'));
  const inside = page.frames().filter((frame) => frame !== page.mainFrame());
  for (const frame of inside) assert.ok(!frame.url().startsWith(t.origin), `shown in a frame: ${frame.url()}`);
  await page.close();
}

/** Where one is sent after signing in is on this site, whatever the link says. */
async function openRedirects(t, { name, password, secret }) {
  if (secret) return;
  for (const next of ['https://evil.causeway.test/', '//evil.causeway.test/', '/\\evil.causeway.test/', '/%09/evil.causeway.test', 'javascript:alert(1)', '/\t/evil.causeway.test', '\\\\evil.causeway.test']) {
    const page = await t.page();
    await page.goto(t.url(`/web/login?next=${encodeURIComponent(next)}`));
    await page.getByLabel('User name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((url) => url.pathname !== '/web/login');
    assert.equal(new URL(page.url()).origin, t.origin, `next=${next} led to ${page.url()}`);
    await page.context().close();
  }
}

async function cookies(t, context) {
  const all = await context.cookies();
  const session = all.filter((cookie) => cookie.name.includes('session'));
  assert.equal(session.length, 1);
  for (const cookie of all) {
    assert.match(cookie.name, /^__Host-/);
    assert.ok(cookie.secure && cookie.path === '/' && !cookie.domain.startsWith('.'), JSON.stringify({ ...cookie, value: '…' }));
  }
  assert.ok(session[0].httpOnly && ['Lax', 'Strict'].includes(session[0].sameSite));
}

/** A copy of the cookies, used in another browser after the owner has signed out. */
async function stolenCookie(t, context, page) {
  const loot = await context.cookies();
  const thief = await t.context();
  await thief.addCookies(loot);
  const den = await thief.newPage();
  await den.goto(t.url('/web/account'));
  await den.getByRole('heading', { name: 'Account' }).waitFor();
  await page.goto(t.url('/web/account'));
  await page.getByRole('button', { name: 'Sign out' }).first().click();
  await page.waitForURL((url) => url.pathname.startsWith('/web/login'));
  await den.goto(t.url('/web/account'));
  assert.equal(new URL(den.url()).pathname, '/web/login', 'the stolen cookie still opens the account');
}
