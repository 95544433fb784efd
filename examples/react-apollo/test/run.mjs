// Builds the application, serves it beside a freshql of its own (FRESHQL_BIN; default: the debug build), and uses it in a real
// browser (CHROMIUM; default /usr/bin/chromium). SCREENSHOTS: a directory for pictures, if wanted.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

// Where the server is, is not known yet: `stage.mjs` puts it in.
const env = { ...process.env, VITE_FRESHQL_URL: 'https://freshql.invalid' };
const top = fileURLToPath(new URL('..', import.meta.url));
for (const command of [
  ['node_modules/typescript/bin/tsc'],
  ['node_modules/vite/bin/vite.js', 'build', '--logLevel', 'warn'],
  ['--test', '--test-timeout=180000', '--test-force-exit', 'test/browser.test.mjs'],
]) {
  const { status } = spawnSync(process.execPath, command, { cwd: top, env, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
