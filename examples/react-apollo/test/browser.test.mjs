import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { stage, token } from './stage.mjs';

// On a machine that does something else meanwhile, all of it takes longer.
const PATIENCE = 60_000;

let browser;
let shop;

before(async () => {
  shop = await stage();
  browser = await chromium.launch({
    timeout: PATIENCE,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(async () => {
  await browser?.close();
  await shop?.stop();
});

const EDITOR = { sub: 'eve', roles: ['editor'] };

/** Somebody with a browser, who is signed in with these claims; null: who is not. */
async function visitor({ as = EDITOR, ...options } = {}, { url } = shop) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 760 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  if (as) await context.addInitScript((token) => sessionStorage.setItem('token', token), token(as));
  const complaints = [];
  const open = async (path = '') => {
    const page = await context.newPage();
    page.on('console', (message) => {
      // The browser itself notes every error status in its console.
      const isStatus = /the server responded with a status of 4(01|03|12)/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !isStatus) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(url + path);
    return page;
  };
  return { context, complaints, open };
}

async function picture(page, name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

const row = (page, number) => page.locator('.row').nth(number);

test('the second visit of a page is a 304 on the wire', async () => {
  const { context, complaints, open } = await visitor();
  const first = await open();
  await row(first, 0).click();
  await first.locator('article .facts').waitFor();
  const name = await first.locator('article h2').innerText();
  await picture(first, 'detail');
  const address = new URL(first.url()).hash;
  const before = shop.wire.length;
  await first.close();

  const second = await open(address);
  await second.locator('article .facts').waitFor();
  assert.equal(await second.locator('article h2').innerText(), name);
  await second.getByText('not modified').waitFor();
  const requests = shop.wire.slice(before);
  assert.deepEqual([...new Set(requests.map(({ method, status }) => `${method} ${status}`))], ['GET 304'], JSON.stringify(requests));
  assert.ok(requests.every(({ path }) => /^\/q\/[0-9a-f]{64}$/.test(path)), JSON.stringify(requests));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('across origins, reads cost no preflight; a write costs one, and is answered', async () => {
  const far = await stage({ isCrossOrigin: true });
  const { context, complaints, open } = await visitor({}, far);
  const page = await open();
  await row(page, 0).click();
  await page.getByRole('button', { name: 'Edit' }).click();
  assert.deepEqual([...new Set(far.wire.map(({ method }) => method))], ['GET']);
  await page.getByLabel('Stock').fill('4711');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved.').waitFor();
  const write = far.wire.findIndex(({ method }) => method === 'POST');
  assert.deepEqual(far.wire.filter(({ method }) => method === 'OPTIONS'), [{ ...far.wire[write], method: 'OPTIONS', status: 204, hasToken: false }]);
  assert.deepEqual(complaints, []);
  await context.close();
  await far.stop();
});

test('the list is searched, filtered and read page by page', async () => {
  const { context, complaints, open } = await visitor();
  const page = await open();
  const pages = page.locator('.pages');
  await pages.getByText(/^12 of \d+$/).waitFor();
  const total = Number((await pages.innerText()).match(/of (\d+)/)[1]);
  await page.getByRole('button', { name: 'Show more' }).click();
  await pages.getByText(`${Math.min(24, total)} of ${total}`).waitFor();
  const names = await page.locator('.row .name').allInnerTexts();
  assert.equal(names.length, Math.min(24, total));
  assert.deepEqual(names, [...names].sort());
  await page.getByRole('button', { name: 'Drafts' }).click();
  await page.waitForFunction(() => [...document.querySelectorAll('.badge')].every((badge) => badge.textContent === 'draft'));
  await page.getByRole('button', { name: 'All', exact: true }).click();
  await page.getByRole('searchbox').fill('DARJEELING');
  await page.waitForFunction(() => [...document.querySelectorAll('.row .name')].every((name) => /darjeeling/i.test(name.textContent)));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('two tabs edit one product: the second is shown both versions, decides, and nothing is lost', async () => {
  const { context, complaints, open } = await visitor();
  const one = await open();
  await row(one, 1).click();
  await one.locator('article .facts').waitFor();
  const address = new URL(one.url()).hash;
  const two = await open(address);
  for (const page of [one, two]) await page.getByRole('button', { name: 'Edit' }).click();

  await one.getByLabel('Name').fill('The name of one');
  await one.getByLabel('Stock').fill('41');
  await one.getByRole('button', { name: 'Save', exact: true }).click();
  await one.getByText('Saved.').waitFor();

  await two.getByLabel('Name').fill('The name of two');
  await two.getByLabel('Price').fill('77.50');
  await two.getByRole('button', { name: 'Save', exact: true }).click();
  const dialog = two.getByRole('dialog');
  await dialog.waitFor();
  assert.equal(shop.wire.findLast(({ method }) => method === 'POST').status, 412);
  const text = await dialog.innerText();
  for (const part of ['The name of one', 'The name of two', '41', '77.50']) assert.ok(text.includes(part), text);
  const save = dialog.getByRole('button', { name: 'Save', exact: true });
  assert.ok(await save.isDisabled(), 'the name is still to be decided');
  await dialog.getByRole('radio', { name: 'Yours' }).check();
  await picture(two, 'conflict');
  await two.setViewportSize({ width: 390, height: 844 });
  await two.emulateMedia({ colorScheme: 'dark' });
  await picture(two, 'narrow-conflict');

  // Meanwhile the first is faster once more: the second is asked again, and nothing is written behind its back.
  await one.getByRole('button', { name: 'Edit' }).click();
  await one.getByLabel('Description').fill('The text of one');
  await one.getByRole('button', { name: 'Save', exact: true }).click();
  await one.getByText('Saved.').waitFor();
  await save.click();
  await dialog.getByText('The text of one').waitFor();
  await dialog.getByRole('radio', { name: 'Yours' }).check();
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await two.getByText('Saved.').waitFor();

  await one.reload();
  for (const page of [one, two]) {
    await page.locator('article .facts').getByText('77.50').waitFor();
    const shown = await page.locator('article').innerText();
    for (const part of ['The name of two', 'The text of one', '41', '77.50']) assert.ok(shown.includes(part), shown);
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test('who is not signed in reads; a merchant saves its own products, and the token goes with nothing but that', async () => {
  const { context, complaints, open } = await visitor({ as: null });
  const page = await open();
  const isDetail = (response) => decodeURIComponent(response.url()).includes('{"id":');
  const [answer] = await Promise.all([page.waitForResponse(isDetail), row(page, 3).click()]);
  const merchant = (await answer.json()).data.product.merchant.id;
  const article = page.locator('article');
  await article.getByRole('button', { name: 'Sign in to edit' }).click();
  const box = page.getByLabel('Token');
  assert.ok(await box.evaluate((input) => input === document.activeElement));
  await box.fill('rubbish');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  assert.equal(await box.getAttribute('aria-invalid'), 'true');

  const signIn = async (claims) => {
    await box.fill(token(claims));
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByText(claims.sub, { exact: true }).waitFor();
  };
  await signIn({ sub: 'mallory', merchant: '00000000-0000-7000-8000-000000000000' });
  await article.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('Stock').fill('4242');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('alert').getByText('you may not update this Product').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('alert').getByText('a token is needed to update Product').waitFor();
  await signIn({ sub: 'mia', merchant });
  await picture(page, 'signed-in');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved.').waitFor();
  await article.locator('.facts').getByText('4242').waitFor();

  const own = shop.wire.filter(({ hasToken }) => hasToken);
  assert.deepEqual([...new Set(own.map(({ method }) => method))], ['POST']);
  const writes = shop.wire.filter(({ method }) => method === 'POST').slice(-3);
  assert.deepEqual(writes.map(({ status }) => status), [403, 401, 200]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('on a narrow dark screen the list, a product and its form are one after the other', async () => {
  const { context, complaints, open } = await visitor({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const page = await open();
  await row(page, 2).waitFor();
  await picture(page, 'narrow-list');
  await row(page, 2).click();
  await page.locator('article .facts').waitFor();
  assert.equal(await page.locator('.list').isVisible(), false);
  await picture(page, 'narrow-detail');
  await page.getByRole('button', { name: 'Edit' }).click();
  await picture(page, 'narrow-form');
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390, 'nothing sticks out');
  await page.getByRole('button', { name: '← All products' }).click();
  await row(page, 0).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
});
