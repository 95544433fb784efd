// Opens the console in a real browser, runs a query, and reads the response pane.
//
//   FRESHQL_URL=http://127.0.0.1:8080 FRESHQL_QUERY='{ … }' FRESHQL_EXPECT='…' npm test
//
// FRESHQL_URL         where the server listens, required
// FRESHQL_QUERY       the query to run; default: asks for the name of the query type
// FRESHQL_EXPECT      text that the response pane must then contain; default: the beginning of any answer to the default
// FRESHQL_SCREENSHOT  a .png to write, if wanted
// CHROMIUM            the browser; default /usr/bin/chromium
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const server = new URL(required('FRESHQL_URL'));
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
  await runQuery(page, query);
  await responseContains(page, expected);
  // Workers that failed to start complain late.
  await page.waitForTimeout(500);
  if (process.env.FRESHQL_SCREENSHOT) await page.screenshot({ path: process.env.FRESHQL_SCREENSHOT });
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

/** Opens `path` in a fresh profile and waits until the editors and the schema are there. */
async function open(path) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
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
  await page.locator('.graphiql-query-editor .view-line').getByText('queryType').waitFor();
  await page.locator('.graphiql-response .monaco-editor').waitFor();
  assert.equal((await introspection).status(), 200);
  return { page, complaints };
}

/**
 * Replaces what stands in the query editor by pasting: while one types, the editor adds closing brackets. While the page
 * starts, it may yet put its first query there; so what is shown is looked at, and pasted again if it is another.
 */
async function pasteQuery(page, text) {
  const deadline = Date.now() + patience;
  do {
    await page.locator('.graphiql-query-editor .view-lines').click();
    await page.keyboard.press('Control+A');
    await page.locator('.graphiql-query-editor textarea').evaluate((input, pasted) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', pasted);
      input.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
    }, text);
    // Long enough for a page that starts to do what it has still to do.
    await page.waitForTimeout(300);
    if ((await shown(page, '.graphiql-query-editor')) === text) return;
  } while (Date.now() < deadline);
  assert.fail(`the editor does not take ${text}; it shows:\n${await shown(page, '.graphiql-query-editor')}`);
}

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
