// A user whom an admin locks while signed in: cut within a second.
// settings: name, password, secret; app, if it is on an app's page that the user is (its origin). `signedIn` and `locked` are files: one that it makes, one that it waits for.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from './lib.mjs';

await test(async (t) => {
  const { signedIn, locked } = t.settings;
  const page = await t.page();
  await t.signIn(page, t.settings);
  const { app } = t.settings;
  if (app) {
    await page.goto(`${app}/`);
    await page.getByRole('heading', { name: 'The app' }).waitFor();
  }
  // What is under way when the lock comes is cut as well.
  t.expect(/40[13]|502|net::ERR|Failed to fetch/);
  writeFileSync(signedIn, '');
  // What a redirect leads to does not matter here: only 200 is being let in.
  const ask = () => page.evaluate(async (path) => {
    const reply = await fetch(path, { redirect: 'manual' }).catch(() => ({ status: 0 }));
    return reply.type === 'opaqueredirect' ? 303 : reply.status;
  }, app ? '/headers' : '/web/account');
  let asked = 0;
  while (!existsSync(locked)) {
    const status = await ask();
    if (status !== 200) assert.ok(existsSync(locked), `cut before the lock: ${status}`);
    asked += 1;
  }
  const start = Date.now();
  let status = 200;
  while (status === 200) {
    assert.ok(Date.now() - start < 5000, 'still in five seconds after the lock');
    status = await ask();
  }
  return { asked, after: Date.now() - start, status };
});
