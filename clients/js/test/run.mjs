// Compiles the package and its tests, and runs these: `npm test [-- PATTERN]`. They start servers of their own, of the
// program in FRESHQL_BIN (default: the debug build).
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const top = fileURLToPath(new URL('..', import.meta.url));

function run(...command) {
  const { status } = spawnSync(process.execPath, command, { cwd: top, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
run(tsc, '-p', '.');
run(tsc, '-p', 'test');
const pattern = process.argv[2] ?? '';
const tests = readdirSync(new URL('../build/test/', import.meta.url)).filter((name) => name.endsWith('.test.js') && name.includes(pattern));
run('--test', '--test-timeout=120000', '--test-force-exit', '--enable-source-maps', ...tests.map((name) => `build/test/${name}`));
