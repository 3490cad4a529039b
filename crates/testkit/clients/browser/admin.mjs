// An admin makes a role and a user with it, and reads both in the audit log.
// settings: name, password, secret of the admin; role (YAML), roleName, user.
import assert from 'node:assert/strict';
import { test } from './lib.mjs';

await test(async (t) => {
  const { name, password, secret, role, roleName, user } = t.settings;
  const page = await t.page();
  await t.signIn(page, { name, password, secret });
  const nav = page.getByRole('navigation', { name: 'Main', exact: true });

  await nav.getByRole('link', { name: 'Roles' }).click();
  await page.getByRole('link', { name: 'New role' }).click();
  t.expect(/422/);
  await page.getByLabel('YAML').fill(role.replace('aws_role_arns', 'aws_rule_arns'));
  await page.getByRole('button', { name: 'Save' }).click();
  const words = await page.getByRole('alert').innerText();
  assert.match(words, /Line \d+/, 'the mistake is shown at its line');
  assert.match(words, /aws_rule_arns/);
  await page.getByLabel('YAML').fill(role);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('link', { name: roleName, exact: true }).waitFor();

  await nav.getByRole('link', { name: 'Users' }).click();
  await page.getByRole('link', { name: 'New user' }).click();
  await page.getByLabel('User name').fill(user);
  await page.getByRole('checkbox', { name: roleName }).check();
  await page.getByRole('button', { name: 'Create user' }).click();
  await page.getByRole('heading', { name: `${user} is created` }).waitFor();
  const link = await page.locator('code').first().innerText();
  assert.match(link, /\/web\/invite\/\w+$/);

  for (const [event, text] of [['role.created', roleName], ['user.create', user]]) {
    await nav.getByRole('link', { name: /Audit/ }).click();
    await page.getByLabel('Event').selectOption(event);
    await page.getByLabel('Words').fill(text);
    await page.getByRole('button', { name: 'Search' }).click();
    const row = page.locator('#log tbody tr').first();
    await row.waitFor();
    assert.match(await row.innerText(), new RegExp(name), `${event} names the admin`);
    await row.getByRole('link').first().click();
    await page.locator('main').getByText(text).first().waitFor();
  }
  return { link };
});
