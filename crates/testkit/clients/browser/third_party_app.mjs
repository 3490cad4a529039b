// A real third-party web app, JupyterLab, behind its subdomain: sign-in and back to the path that
// was asked for, its own log-in and cookies, assets, redirects, WebSockets both ways, sign-out.
// settings: name, password; app (origin), appPassword.
import assert from 'node:assert/strict';
import { test } from './lib.mjs';

await test(async (t) => {
  const { name, password, app, appPassword } = t.settings;
  const page = await t.page();
  const failed = [];
  page.on('response', (reply) => { if (reply.url().startsWith(app) && reply.status() >= 400) failed.push(`${reply.status()} ${reply.url()}`); });

  // Not signed in anywhere: by way of the proxy's sign-in page, then the app's own.
  await page.goto(`${app}/login?next=%2Flab%2Ftree%3Freset%3D1`);
  assert.equal(new URL(page.url()).pathname, '/web/login', 'asked to sign in first');
  await t.signIn(page, { name, password });
  await page.waitForURL((url) => url.origin === app && url.pathname === '/login');
  assert.equal(new URL(page.url()).searchParams.get('next'), '/lab/tree?reset=1', 'path and query are kept');
  await page.locator('#password_input').fill(appPassword);
  await page.locator('#login_submit').click();
  await page.waitForURL((url) => url.origin === app && url.pathname.startsWith('/lab'));
  await page.locator('#jp-top-panel, #jp-menu-panel').first().waitFor();

  // A program in a kernel, by the app's own WebSocket.
  const answer = await page.evaluate(runInKernel, '6 * 7');
  assert.equal(answer, '42');
  const long = await page.evaluate(runInKernel, '"x" * 3_000_000');
  assert.equal(long.length, 3_000_002, 'a long message');

  // What the app does not get to see, and what its users cannot reach across hosts.
  const cookies = await page.context().cookies();
  const ours = cookies.filter((cookie) => cookie.name.startsWith('__Host-causeway'));
  assert.ok(ours.some((cookie) => cookie.domain === new URL(app).hostname && cookie.httpOnly && cookie.secure));
  const seen = await page.evaluate(() => document.cookie);
  assert.ok(!seen.includes('causeway'), `scripts of the app see ${seen}`);

  await page.goto(`${app}/x-causeway-logout`);
  await page.goto(`${app}/api/status`);
  assert.notEqual(new URL(page.url()).pathname, '/api/status', 'let in after signing out of the app');
  return { failed: failed.filter((line) => !/favicon|\/lsp\/|translations|\.map$/.test(line)) };
});

/** Runs an expression in a new kernel and gives what it prints as its value. */
async function runInKernel(expression) {
  const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1];
  const kernel = await (await fetch('/api/kernels', { method: 'POST', headers: { 'X-XSRFToken': xsrf } })).json();
  const socket = new WebSocket(`wss://${location.host}/api/kernels/${kernel.id}/channels`);
  await new Promise((open, failed) => { socket.onopen = open; socket.onerror = () => failed(new Error('no WebSocket')); });
  const header = { msg_id: crypto.randomUUID(), username: '', session: crypto.randomUUID(), msg_type: 'execute_request', version: '5.3' };
  const content = { code: expression, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
  const result = new Promise((found) => {
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.msg_type === 'execute_result' && message.parent_header.msg_id === header.msg_id) found(message.content.data['text/plain']);
    };
  });
  socket.send(JSON.stringify({ channel: 'shell', header, parent_header: {}, metadata: {}, content, buffers: [] }));
  const value = await result;
  socket.close();
  await fetch(`/api/kernels/${kernel.id}`, { method: 'DELETE', headers: { 'X-XSRFToken': xsrf } });
  return value;
}
