// Clicks through dynamodb-admin in headless Chromium: tables, then the items of one.
// argv: 2 = its address, 3 = a table that holds an item `shown-in-the-browser`. Prints `ok`.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [url, table] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});
try {
  const page = await browser.newPage();
  const failures = [];
  page.on('response', (reply) => { if (reply.status() >= 400 && reply.url().startsWith(url) && !reply.url().includes('favicon')) failures.push(`${reply.status()} ${reply.url()}`); });
  await page.goto(url);
  const link = page.getByRole('link', { name: table, exact: true }).first();
  await link.waitFor();
  await link.click();
  await page.getByText('shown-in-the-browser').first().waitFor();
  await page.getByRole('link', { name: /shown-in-the-browser/ }).or(page.getByText('shown-in-the-browser')).first().click();
  await page.waitForLoadState();
  assert.deepEqual(failures, []);
  console.log('ok');
} finally {
  await browser.close();
}
