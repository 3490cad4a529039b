// What every browser test starts with: Chromium on a cluster of the tests, a watch over everything
// that goes wrong on a page, one-time codes, a virtual passkey, axe.
//
// A test is a file beside this one that calls `test(async (t) => { … })`. It reads its settings as
// JSON from standard input and prints what it found as JSON; it fails with words on standard error.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 30_000;

/** Runs one test: settings from standard input, its findings to standard output. */
export async function test(run) {
  const settings = JSON.parse(readFileSync(0, 'utf8'));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: flags(settings) });
  const t = new Test(settings, browser);
  try {
    const found = await run(t);
    t.noProblems();
    process.stdout.write(`${JSON.stringify(found ?? {})}\n`);
  } catch (error) {
    process.stderr.write(`${error.stack}\n`);
    await t.describe();
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

function flags({ host, spki }) {
  return [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update',
    `--host-resolver-rules=MAP ${host} 127.0.0.1, MAP *.${host} 127.0.0.1, MAP *.causeway.test 127.0.0.1`,
    // The certificate is trusted as one from a CA would be: passkeys need that.
    `--ignore-certificate-errors-spki-list=${spki}`,
  ];
}

class Test {
  constructor(settings, browser) {
    this.settings = settings;
    this.browser = browser;
    this.origin = settings.origin;
    this.problems = [];
    this.expected = [];
    this.pages = [];
  }

  /** A browser of somebody's own: its cookies are its alone. */
  async context(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    context.on('page', (page) => this.watch(page));
    return context;
  }

  /** A page in a browser of its own. */
  async page(options) {
    return (await this.context(options)).newPage();
  }

  watch(page) {
    this.pages.push(page);
    // Of other sites' pages, such as the stand-in for the console, nothing is asked.
    const isOurs = () => new URL(page.url()).host.endsWith(new URL(this.origin).host);
    const note = (text) => { if (isOurs()) this.problems.push(`${page.url()}: ${text}`); };
    page.on('console', (message) => { if (message.type() === 'error') note(`console: ${message.text()}`); });
    page.on('pageerror', (error) => note(`script: ${error.message}`));
    page.on('response', (reply) => { if (reply.status() >= 500) note(`${reply.status()} of ${reply.url()}`); });
  }

  /** A problem that this test brings about on purpose. */
  expect(pattern) {
    this.expected.push(pattern);
  }

  noProblems() {
    const unexpected = this.problems.filter((problem) => !this.expected.some((pattern) => pattern.test(problem)));
    assert.deepEqual(unexpected, [], 'something went wrong on a page');
  }

  async describe() {
    for (const page of this.pages) {
      if (page.isClosed()) continue;
      const text = await page.locator('body').innerText({ timeout: 2000 }).catch(() => '(no text)');
      process.stderr.write(`\n--- ${page.url()}\n${text.slice(0, 3000)}\n`);
    }
    for (const problem of this.problems) process.stderr.write(`problem: ${problem}\n`);
  }

  url(path) {
    return new URL(path, this.origin).href;
  }

  /** Signs in as people do: name and password, then the code or the passkey. */
  async signIn(page, { name, password, secret }) {
    if (!new URL(page.url(), this.origin).pathname.startsWith('/web/login')) await page.goto(this.url('/web/login'));
    await page.getByLabel('User name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL((url) => !(url.pathname === '/web/login'));
    if (!new URL(page.url()).pathname.startsWith('/web/login/factor')) return;
    if (secret) {
      await page.getByLabel('6-digit code').fill(code(secret));
      await page.getByLabel('6-digit code').press('Enter');
    } else {
      await page.getByRole('button', { name: /passkey/i }).first().click();
    }
    await page.waitForURL((url) => !url.pathname.startsWith('/web/login'));
  }

  /** Accepts an invite or a reset: a password, then a one-time code or, if `device` is there, a passkey. */
  async accept(page, link, password, device) {
    await page.goto(link);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByLabel('Password again').fill(password);
    await page.getByRole('button', { name: /Continue|Save the password/ }).click();
    await page.waitForURL((url) => url.pathname.endsWith('/factor') || !url.pathname.includes('/invite/')).catch(() => {});
    let secret;
    if (page.url().endsWith('/factor')) {
      if (device) {
        await page.getByRole('button', { name: 'Add a passkey' }).click();
      } else {
        secret = await secretOn(page);
        // The code of the step before: each is good once, and signing in comes next.
        await page.getByLabel('6-digit code').fill(code(secret, -1));
        await page.getByRole('button', { name: 'Finish with the app' }).click();
      }
    }
    await page.getByRole('heading', { name: /You are set up/ }).waitFor();
    return secret;
  }

  /** Fails if axe finds anything on the page as it is now. */
  async accessible(page, what) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    const violations = found.violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary ?? ''}`) }));
    assert.deepEqual(violations, [], `axe finds violations on ${what} (${page.url()})`);
  }
}

let lastStep = 0;

/** The one-time code of now. Each is good once, so that a second one waits for the next step. */
export function code(secret, steps = 0) {
  const now = Math.floor(Date.now() / 30_000);
  const step = Math.max(now + steps, steps < 0 ? 0 : lastStep + 1);
  assert.ok(step <= now + 1, 'more codes are asked for than the clock gives');
  if (steps >= 0) lastStep = step;
  return hotp(secret, step);
}

function hotp(secret, counter) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret.replace(/[\s=]/g, '')].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const message = Buffer.alloc(8);
  message.writeBigUInt64BE(BigInt(counter));
  const digest = createHmac('sha1', key).update(message).digest();
  const offset = digest[19] & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** A passkey on this device, whose owner is always there and always agrees. */
export async function passkey(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  return {
    credentials: async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    refuse: () => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false }),
  };
}

/** The secret that a page shows to type by hand. */
export async function secretOn(page) {
  const text = await page.locator('main').innerText();
  const found = text.match(/(?:[A-Z2-7]{4} ){3,}[A-Z2-7]{1,4}|[A-Z2-7]{16,64}/);
  assert.ok(found, 'no secret on the page');
  return found[0].replace(/ /g, '');
}
