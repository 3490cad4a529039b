// From the invite to the AWS console: password, second factor, sign in, Applications, role, Launch.
// settings: link, name, password, factor ("otp" or "passkey"), role (its name), other (one that must be there too).
import assert from 'node:assert/strict';
import { passkey, test } from './lib.mjs';

await test(async (t) => {
  const { link, name, password, factor, role, other } = t.settings;
  const page = await t.page();
  const device = factor === 'passkey' ? await passkey(page) : undefined;
  const secret = await t.accept(page, link, password, device);
  if (device) assert.equal((await device.credentials()).length, 1, 'the passkey is on the device');

  await t.signIn(page, { name, password, secret });
  assert.equal(new URL(page.url()).pathname, '/web/apps', 'Applications is where one arrives');
  await page.getByRole('heading', { name: 'Applications' }).waitFor();
  await page.getByRole('link', { name: /aws/ }).filter({ hasText: /Launch|Open|role/i }).first().click();

  await page.getByRole('heading', { name: 'Choose an IAM role' }).waitFor();
  const rows = page.locator('#roles li');
  assert.equal(await rows.filter({ visible: true }).count(), 2, 'only the roles that the user may use');
  await page.getByLabel('Filter by role name, account or ARN').fill(role);
  await page.waitForFunction(() => [...document.querySelectorAll('#roles li')].filter((row) => row.checkVisibility()).length === 1);
  assert.equal(await page.getByText(other, { exact: true }).isVisible(), false, 'the filter hides the other role');

  const opening = page.context().waitForEvent('page');
  await page.getByRole('button', { name: new RegExp(`Launch the AWS console as ${role} `) }).click();
  const console_ = await opening;
  await console_.getByRole('heading', { name: 'Signed in' }).waitFor();
  const text = (id) => console_.locator(`#${id}`).innerText();
  return {
    arn: await text('arn'),
    account: await text('account'),
    session: await text('session'),
    destination: await text('destination'),
    referrer: await console_.evaluate(() => document.referrer),
    opener: await console_.evaluate(() => globalThis.opener === null),
  };
});
