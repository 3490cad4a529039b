// Signs in and opens an app; gives the app's cookie. settings: name, password, app.
import { test } from './lib.mjs';

await test(async (t) => {
  const { name, password, app } = t.settings;
  const page = await t.page();
  await page.goto(`${app}/`);
  await t.signIn(page, { name, password });
  await page.waitForURL((url) => url.origin === app && !url.pathname.startsWith('/x-causeway'));
  await page.getByRole('heading', { name: 'The app' }).waitFor();
  const events = await page.evaluate(() => new Promise((done, failed) => {
    const seen = [];
    const source = new EventSource('/events');
    source.onmessage = ({ data }) => { seen.push(data); if (seen.length === 3) { source.close(); done(seen); } };
    source.onerror = () => failed(new Error('no events'));
  }));
  const cookies = await page.context().cookies();
  const cookie = cookies.find((one) => one.domain === new URL(app).hostname && one.name === '__Host-causeway_app');
  return { cookie: `${cookie.name}=${cookie.value}`, events };
});
