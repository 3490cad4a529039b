// Signs in and adds a passkey on the page that `tsh mfa add` names. settings: name, password, secret, page, device (its name).
import assert from 'node:assert/strict';
import { code, passkey, test } from './lib.mjs';

await test(async (t) => {
  const { name, password, secret, page: address, device } = t.settings;
  const page = await t.page();
  const authenticator = await passkey(page);
  await t.signIn(page, { name, password, secret });
  await page.goto(address);
  await page.getByLabel('Passkey or security key').check();
  await page.getByLabel('Name', { exact: true }).fill(device);
  await page.getByLabel('6-digit code').fill(code(secret));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Add the passkey' }).click();
  await page.waitForURL((url) => url.pathname === '/web/account');
  assert.equal((await authenticator.credentials()).length, 1, 'the passkey is on the device');
  return {};
});
