// Every page of the admin's: no violation for axe, no error in the console, nothing that scrolls
// sideways; and a picture of each where `into` names a folder.
// settings: name, password, secret; paths ({name: path}); into (a folder, or none).
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from './lib.mjs';

const WIDTHS = { 1440: 900, 768: 1024, 390: 844 };
const SCHEMES = ['light', 'dark'];

await test(async (t) => {
  const { name, password, secret, paths, into } = t.settings;
  if (into) mkdirSync(into, { recursive: true });
  const stranger = await t.context();
  const member = await t.context();
  const page = await member.newPage();
  const first = await firstVisit(t, stranger);
  await axeFindsWhatIsWrong(t, stranger);
  await t.signIn(page, { name, password, secret });
  const looked = [];
  for (const [what, path] of Object.entries(paths)) {
    const isOutside = ['/web/login', '/web/invite', '!', '@'].some((start) => path.startsWith(start));
    const view = isOutside ? await stranger.newPage() : page;
    const at = addressOf(t, path);
    const reply = await view.goto(at);
    // A page that says no is a page as well, where the test asks for one.
    if (what.startsWith('refusal')) t.expect(new RegExp(`${literally(at)}: console: .* ${reply.status()} `));
    else assert.ok(reply.status() < 400, `${what}: ${reply.status()} at ${path}`);
    await look(t, view, what, into);
    looked.push(what);
    if (view !== page) await view.close();
  }
  return { looked, first };
});

function literally(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** `@name/path` is on the host of an app; `!` only marks a path as one for strangers. */
function addressOf(t, path) {
  const [, name, rest] = path.match(/^@([^/]+)(.*)$/) ?? [];
  return name ? t.origin.replace('://', `://${name}.`) + rest : t.url(path.replace(/^!/, ''));
}

async function look(t, view, what, into) {
  for (const scheme of SCHEMES) {
    await view.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    for (const [width, height] of Object.entries(WIDTHS)) {
      await view.setViewportSize({ width: Number(width), height });
      if (into) await view.screenshot({ path: join(into, `${what}-${width}-${scheme}.png`), fullPage: true });
      if (width === '768') continue;
      const wide = await view.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${what} scrolls sideways by ${wide} pixels at ${width}`);
      assert.deepEqual(await view.evaluate(spills), [], `${what} spills out of its panels at ${width}`);
      await t.accessible(view, `${what}, ${width} pixels, ${scheme}`);
    }
  }
}

/** What reaches over the edge of the panel that it is in. */
function spills() {
  const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('.sr, svg');
  const scrolls = (element, panel) => {
    for (let one = element.parentElement; one && one !== panel; one = one.parentElement) {
      if (getComputedStyle(one).overflowX !== 'visible') return true;
    }
    return false;
  };
  return [...document.querySelectorAll('.panel')].flatMap((panel) => {
    const edge = panel.getBoundingClientRect().right + 1;
    const reaches = (one) => {
      const { left, right } = one.getBoundingClientRect();
      const isWide = getComputedStyle(one).overflowX === 'visible' && one.scrollWidth > one.clientWidth + 1;
      return right > edge || (isWide && one.clientWidth > 0 && left + one.scrollWidth > edge);
    };
    const over = [...panel.querySelectorAll('*')].filter((one) => isShown(one) && reaches(one) && !scrolls(one, panel));
    return over.map((one) => `${one.tagName}.${one.className}: ${one.textContent.slice(0, 80)}`);
  });
}

/** A page that is wrong on purpose: else a broken axe would find every page good. */
async function axeFindsWhatIsWrong(t, context) {
  const page = await context.newPage();
  await page.setContent('<html lang="en"><title>x</title><main><h1>x</h1><img src="data:,"><input></main></html>');
  await assert.rejects(t.accessible(page, 'a wrong page'), /image-alt/);
  await page.close();
}

/** What a browser with an empty cache loads to see the sign-in page. */
async function firstVisit(t, context) {
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.enable');
  let bytes = 0;
  let requests = 0;
  devtools.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; requests += 1; });
  await page.goto(t.url('/'), { waitUntil: 'networkidle' });
  assert.equal(new URL(page.url()).pathname, '/web/login');
  await page.close();
  return { bytes, requests };
}
