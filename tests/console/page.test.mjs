// Opens the console of a server that serves the demo in a real browser, and uses it as a developer would.
//
//   FRESHQL_URL=http://127.0.0.1:8080 FRESHQL_QUERY='{ … }' FRESHQL_EXPECT='…' npm test
//
// FRESHQL_URL         where the server listens, required
// FRESHQL_QUERY       the query to run; default: asks for the name of the query type
// FRESHQL_TOKEN       a token of an editor, as `freshql token --claims '{"roles":["editor"]}'` makes it, required
// FRESHQL_EXPECT      text that the response pane must then contain; default: the beginning of any answer to the default
// FRESHQL_SCREENSHOTS  a directory for screenshots, if wanted
// CHROMIUM            the browser; default /usr/bin/chromium
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const server = new URL(required('FRESHQL_URL'));
const token = required('FRESHQL_TOKEN');
const query = process.env.FRESHQL_QUERY ?? '{ __schema { queryType { __typename name } } }';
const expected = process.env.FRESHQL_EXPECT ?? '"__typename": "__Type"';

// On a machine that builds something else meanwhile, all of it takes longer; what is wrong does not come in time either.
const patience = 60_000;

let browser;

before(async () => {
  browser = await chromium.launch({
    timeout: patience,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Root in a container has no sandbox; the rest keeps the browser itself from talking to its makers.
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

after(() => browser?.close());

for (const path of ['/', '/graphiql', '/graphiql/']) {
  test(`the page at ${path} loads without complaint`, async () => {
    const { page, complaints } = await open(path);
    assert.equal(await page.title(), 'freshql');
    assert.deepEqual(complaints, []);
    await page.close();
  });
}

test('a query runs and its answer is shown', async () => {
  const { page, complaints } = await open('/graphiql');
  await page.getByRole('button', { name: 'New tab' }).click();
  await runQuery(page, query);
  await responseContains(page, expected);
  // Workers that failed to start complain late.
  await page.waitForTimeout(500);
  await screenshot(page, 'query');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('the documentation knows the schema', async () => {
  const { page, complaints } = await open('/graphiql');
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.locator('.graphiql-doc-explorer-content').getByText('query', { exact: true }).waitFor();
  assert.deepEqual(complaints, []);
  await page.close();
});

test('completion, formatting and the marks under mistakes work', async () => {
  const { page, complaints } = await open('/graphiql');
  await pasteQuery(page, '{ __sch }');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Control+Space');
  await page.locator('.suggest-widget .monaco-list-row').getByText('__schema').first().waitFor();
  await page.keyboard.press('Escape');
  await pasteQuery(page, '{__schema{queryType{noSuchField}}}');
  await page.locator('.graphiql-query-editor .squiggly-error').first().waitFor();
  await page.getByRole('button', { name: /prettify/i }).click();
  await page.locator('.graphiql-query-editor .view-line').nth(4).waitFor();
  assert.deepEqual(complaints, []);
  await page.close();
});

test('the body of an answer with an error status is shown', async () => {
  const { page, complaints } = await open('/graphiql');
  const [answer] = await Promise.all([
    page.waitForResponse((response) => new URL(response.url()).pathname === '/graphql' && !response.ok()),
    runQuery(page, '{ __schema { noSuchFieldAnywhere } }'),
  ]);
  assert.equal(answer.status(), 422);
  await responseContains(page, '"message"');
  await responseContains(page, 'noSuchFieldAnywhere');
  // The browser itself notes every error status in its console.
  assert.deepEqual(complaints.filter((text) => !text.includes('the server responded with a status of 422')), []);
  await page.close();
});

test('the first tab has a query of the project, and runs as it is', async () => {
  const { page, complaints } = await open('/');
  assert.match(await shown(page, '.graphiql-query-editor'), /query MerchantPage/);
  await page.keyboard.press('Control+Enter');
  const status = await statusLine(page, '200 OK');
  assert.match(status, /miss/);
  assert.match(status, /ETag "[\w-]{22}/);
  await responseContains(page, '"Teekontor Speicher"');
  await partContains(page, 'Nothing is stored for this document, operation and variables');
  await partContains(page, 'merchantId = "018e2a5f-3490-7a04-bcea-af308142c8ea"');
  await partContains(page, 'max-age=0, s-maxage=60');
  await screenshot(page, 'first-tab');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('sent again with If-None-Match, the answer is a 304 on the wire and stays in sight', async () => {
  const { page, complaints } = await open('/');
  await page.keyboard.press('Control+Enter');
  await statusLine(page, '200 OK');
  const body = await shown(page, '.graphiql-response');
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.status() === 304),
    page.getByRole('button', { name: 'Send again with If-None-Match' }).click(),
  ]);
  assert.equal(new URL(answer.url()).pathname.slice(0, 3), '/q/', 'a registered query is asked for by its own URL');
  assert.match(await statusLine(page, '304 Not Modified'), /hit/);
  assert.equal(await shown(page, '.graphiql-response'), body);
  await partContains(page, 'The ETag still stands for the answer');
  await screenshot(page, 'not-modified');
  await page.getByRole('tab', { name: 'Headers' }).click();
  await partContains(page, 'if-none-match');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('what changed is told when an answer has become stale', async () => {
  const { page, complaints } = await open('/');
  await page.keyboard.press('Control+Enter');
  await statusLine(page, '200 OK');
  const country = `Deutschland ${Date.now()}`;
  await mutate(`mutation { updateMerchant(id: "018e2a5f-3490-7a04-bcea-af308142c8ea", patch: {country: "${country}"}) { id } }`);
  await page.getByRole('button', { name: 'Send again with If-None-Match' }).click();
  await responseContains(page, country);
  assert.match(await statusLine(page, '200 OK'), /stale/);
  await partContains(page, 'The ETag no longer stands for the answer');
  await partContains(page, /update\s+Merchant 018e2a5f-3490-7a04-bcea-af308142c8ea country/);
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a registered operation is opened by its name, and persisting tells its id, URL, curl line and manifest entry', async () => {
  const { page, complaints } = await open('/');
  await page.getByRole('button', { name: 'Show Operations' }).click();
  await page.getByLabel('Search operations').fill('productl');
  await page.getByRole('button', { name: /ProductList/ }).click();
  await page.getByRole('tab', { name: 'Persist' }).click();
  await partContains(page, 'Registered by queries/ProductList.graphql');
  const code = await page.locator('.fq-part pre').allInnerTexts();
  const url = code[0];
  const entry = JSON.parse(code[2]);
  assert.equal(entry.name, 'ProductList');
  assert.ok(url.startsWith(`${server.origin}/q/${entry.id}?variables=`), url);
  assert.equal(code[1], `curl -i '${url}'`);
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  assert.equal(`${server.origin}${answer.headers.get('content-location')}`, url, 'it is the URL that the server itself gives');
  await screenshot(page, 'persist');

  // Another text is another document, and the page says how it gets registered.
  await pasteQuery(page, 'query Names { products(first: 1) { nodes { name } } }');
  await partContains(page, 'Not registered. Save these bytes as queries/Names.graphql');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a 412 is shown as a conflict with both versions, and can be written over', async () => {
  const { page, complaints } = await open('/');
  const id = '0191408b-7983-7be4-aaa9-5d21c6f3b6cd';
  const read = await mutate(`mutation { updateProduct(id: "${id}", patch: {}) { etag } }`);
  const expectedEtag = read.data.updateProduct.etag;
  await mutate(`mutation { updateProduct(id: "${id}", patch: {price: "24.00"}) { id } }`);
  await page.getByRole('button', { name: 'Show Operations' }).click();
  await page.getByRole('button', { name: /UpdateProduct/ }).click();
  await page.getByRole('button', { name: 'Variables', exact: true }).click();
  await pasteInto(page, '.graphiql-editor-tool', JSON.stringify({ id, patch: { price: '22.00' }, expectedEtag }));
  // Everybody reads the demo, and who writes is known by a token.
  await page.locator('.graphiql-execute-button').click();
  await statusLine(page, '401 Unauthorized');
  await responseContains(page, '"UNAUTHENTICATED"');
  await page.getByRole('button', { name: 'Show Authorization' }).click();
  await page.getByPlaceholder('Bearer').fill(token);
  await page.getByRole('button', { name: 'Keep' }).click();
  await page.locator('.graphiql-execute-button').click();
  await statusLine(page, '412 Precondition Failed');
  await partContains(page, /has changed since it was read\. Nothing was written/);
  await partContains(page, /price\s+22\.00\s+24\.00/);
  await screenshot(page, 'conflict');
  await page.getByRole('button', { name: 'Write mine over it' }).click();
  await statusLine(page, '200 OK');
  await responseContains(page, '"price": "22.00"');
  assert.deepEqual(complaints.filter((text) => !/status of 4(01|12)/.test(text)), []);
  await page.close();
});

test('the field picker writes the query', async () => {
  const { page, complaints } = await open('/');
  await page.getByRole('button', { name: 'Show GraphiQL Explorer' }).click();
  await page.getByRole('button', { name: 'New tab' }).click();
  await pasteQuery(page, 'query Names { merchants { nodes { name } } }');
  await page.locator('.graphiql-explorer-root').getByText('country', { exact: true }).click();
  await page.waitForFunction(() => document.querySelector('.graphiql-query-editor .view-lines').innerText.includes('country'));
  await screenshot(page, 'picker');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a token goes along with every request, and is kept for the tab only', async () => {
  const { page, complaints } = await open('/');
  await page.getByRole('button', { name: 'Show Authorization' }).click();
  await page.getByPlaceholder('Bearer').fill('s3cret');
  await page.getByRole('button', { name: 'Keep' }).click();
  await page.locator('.graphiql-query-editor .view-lines').click();
  const [request] = await Promise.all([
    page.waitForRequest((request) => new URL(request.url()).pathname.startsWith('/q/')),
    page.keyboard.press('Control+Enter'),
  ]);
  assert.equal(await request.headerValue('authorization'), 'Bearer s3cret');
  await statusLine(page, '200 OK');
  await page.getByRole('tab', { name: 'Headers' }).click();
  await partContains(page, 'authorization');
  const kept = await page.evaluate(() => [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), document.querySelector('.fq-part').innerText]);
  assert.deepEqual(kept.map((text) => text.includes('s3cret')), [false, true, false]);
  await page.getByRole('button', { name: 'Forget' }).click();
  assert.equal(await page.evaluate(() => sessionStorage.getItem('freshql:authorization')), null);
  assert.deepEqual(complaints, []);
  await page.close();
});

test('a telephone of 390 pixels shows everything without scrolling sideways', async () => {
  const { page, complaints } = await open('/', { viewport: { width: 390, height: 844 } });
  await screenshot(page, 'narrow');
  await page.locator('.graphiql-execute-button').click();
  await statusLine(page, '200 OK');
  await partContains(page, 'Depends on');
  const overflow = await page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll('#graphiql-session, .fq-part, .fq-status')].map((e) => e.scrollWidth - e.clientWidth),
  );
  assert.ok(Math.max(...overflow) <= 1, `something is wider than the page: ${overflow}`);
  await page.locator('.fq-legend').scrollIntoViewIfNeeded();
  await screenshot(page, 'narrow-panel');
  await page.getByRole('button', { name: 'Show Operations' }).click();
  await page.getByRole('button', { name: /ProductSearch/ }).click();
  await page.locator('.graphiql-query-editor .view-line').getByText(/ProductSearch/).waitFor();
  assert.ok(!(await page.locator('.fq-operations').isVisible()), 'the list makes room for what was opened');
  await screenshot(page, 'narrow-operations');
  assert.deepEqual(complaints, []);
  await page.close();
});

test('the page is dark where the system is', async () => {
  const { page, complaints } = await open('/', { colorScheme: 'dark' });
  await page.keyboard.press('Control+Enter');
  await statusLine(page, '200 OK');
  await partContains(page, 'Depends on');
  const lightness = await page.evaluate(() => {
    const sum = (element, property) => getComputedStyle(element)[property].match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
    return [sum(document.querySelector('.graphiql-container'), 'backgroundColor'), sum(document.querySelector('.fq-part'), 'color')];
  });
  assert.ok(lightness[0] < 250 && lightness[1] > 400, `${lightness}`);
  await screenshot(page, 'dark');
  assert.deepEqual(complaints, []);
  await page.close();
});

/** Opens `path` in a fresh profile and waits until the editors and the schema are there. */
async function open(path, options) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
  page.setDefaultTimeout(patience);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`page error: ${error}`));
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  // On the context, because workers make requests too.
  page.context().on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== server.origin && protocol !== 'data:') complaints.push(`left the origin: ${request.url()}`);
  });
  const introspection = page.waitForResponse((response) => new URL(response.url()).pathname === '/graphql');
  await page.goto(new URL(path, server).href);
  // The page's first query comes after the editor: until then, what is pasted would be replaced by it.
  await page.locator('.graphiql-query-editor .view-line').getByText(/merchant's/).first().waitFor();
  await page.locator('.graphiql-response .monaco-editor').waitFor();
  assert.equal((await introspection).status(), 200);
  // The keyboard's short cuts belong to the editor.
  await page.locator('.graphiql-query-editor .view-lines').click({ position: { x: 5, y: 5 } });
  return { page, complaints };
}

/** Writes as somebody else. */
async function mutate(query) {
  const response = await fetch(new URL('/graphql', server), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

async function screenshot(page, name) {
  const directory = process.env.FRESHQL_SCREENSHOTS;
  if (directory) await page.screenshot({ path: `${directory}/${name}.png` });
}

/** What the line above the answer says, as soon as it has this status. */
async function statusLine(page, status) {
  await page.locator('.fq-status .fq-pill').getByText(status, { exact: true }).waitFor();
  return page.locator('.fq-status').innerText();
}

/** Waits until the panel below the answer shows a text. */
async function partContains(page, text) {
  const deadline = Date.now() + patience;
  let part;
  do {
    part = await page.locator('.fq-part').innerText();
    if (typeof text === 'string' ? part.includes(text) : text.test(part)) return;
    await page.waitForTimeout(50);
  } while (Date.now() < deadline);
  assert.fail(`the panel lacks ${text}; it shows:\n${part}`);
}

/**
 * Replaces what stands in the query editor by pasting: while one types, the editor adds closing brackets. While the page
 * starts, it may yet put its first query there; so what is shown is looked at, and pasted again if it is another.
 */
async function pasteQuery(page, text) {
  await pasteInto(page, '.graphiql-query-editor', text);
}

async function pasteInto(page, editor, text) {
  const deadline = Date.now() + patience;
  do {
    await page.locator(`${editor} .view-lines`).first().click();
    await page.keyboard.press('Control+A');
    await page.locator(`${editor} textarea`).first().evaluate((input, pasted) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', pasted);
      input.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
    }, text);
    // Long enough for a page that starts to do what it has still to do.
    await page.waitForTimeout(300);
    if (unwrapped(await shown(page, editor)).startsWith(unwrapped(text))) return;
  } while (Date.now() < deadline);
  assert.fail(`the editor does not take ${text}; it shows:\n${await shown(page, editor)}`);
}

/** Long lines are wrapped where they are shown. */
const unwrapped = (text) => text.replaceAll(/\s/g, '');

/** The lines of an editor that are in view. Monaco draws spaces as no-break spaces. */
async function shown(page, editor) {
  return (await page.locator(`${editor} .view-line`).allInnerTexts()).join('\n').replaceAll('\u00a0', ' ');
}

async function runQuery(page, text) {
  await pasteQuery(page, text);
  await page.keyboard.press('Control+Enter');
}

/** Waits until the response pane shows `text`; what it shows instead is the failure's message. */
async function responseContains(page, text) {
  const deadline = Date.now() + patience;
  let answer;
  do {
    answer = await shown(page, '.graphiql-response');
    if (answer.includes(text)) return;
    await page.waitForTimeout(50);
  } while (Date.now() < deadline);
  assert.fail(`the response pane lacks ${text}; it shows:\n${answer}`);
}

function required(name) {
  const value = process.env[name];
  assert.ok(value, `set ${name}`);
  return value;
}
