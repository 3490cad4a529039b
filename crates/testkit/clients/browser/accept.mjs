// Accepts an invite and nothing more. settings: link, password. Gives the secret of the second factor, if one was asked for.
import { test } from './lib.mjs';

await test(async (t) => ({ secret: await t.accept(await t.page(), t.settings.link, t.settings.password) }));
