// An admin makes a role and a user with it and reads both in the audit log.
// settings: name, password, secret of the admin; role (YAML), roleName, user.
import assert from 'node:assert/strict';
import { test } from './lib.mjs';

await test(async (t) => {
  const { name, password, secret, role, roleName, user } = t.settings;
  const page = await t.page();
  await t.signIn(page, { name, password, secret });
  const nav = page.getByRole('navigation', { name: 'Main' });

  await nav.getByRole('link', { name: 'Roles' }).click();
  await page.getByRole('link', { name: /New role|Create/ }).first().click();
  const editor = page.getByRole('textbox').first();
  await editor.fill(role.replace('aws_role_arns', 'aws_rule_arns'));
  await page.getByRole('button', { name: /Create|Save/ }).click();
  await page.getByRole('alert').filter({ hasText: /aws_rule_arns/ }).first().waitFor();
  await page.getByRole('textbox').first().fill(role);
  await page.getByRole('button', { name: /Create|Save/ }).click();
  await page.getByRole('heading', { name: roleName }).waitFor();

  await nav.getByRole('link', { name: 'Users' }).click();
  await page.getByRole('link', { name: /New user|Add a user|Invite/ }).first().click();
  await page.getByLabel('User name').fill(user);
  const choice = page.getByLabel(roleName, { exact: true });
  if (await choice.count()) await choice.check();
  else await page.getByLabel(/Roles/).fill(roleName);
  await page.getByRole('button', { name: /Create|Invite|Add/ }).click();
  const body = page.locator('main');
  await body.getByText(/\/web\/invite\//).first().waitFor();
  const link = (await body.innerText()).match(/https:\S+\/web\/invite\/\w+/)[0];

  await nav.getByRole('link', { name: /Audit/ }).click();
  const found = {};
  for (const [event, text] of [['role.created', roleName], ['user.create', user]]) {
    await page.goto(t.url(`/web/audit?event=${event}`));
    const row = page.locator('main').getByText(text, { exact: false }).first();
    await row.waitFor();
    found[event] = true;
  }
  assert.deepEqual(found, { 'role.created': true, 'user.create': true });
  return { link };
});
