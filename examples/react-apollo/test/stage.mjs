// The server on a copy of the demo and this application's queries, in mode `trusted`, and one origin for both: it serves the
// built application, passes the rest on, and notes what goes over the wire.
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const example = fileURLToPath(new URL('..', import.meta.url));
const repository = resolve(example, '../..');
const program = resolve(process.env.FRESHQL_BIN ?? join(repository, 'target/debug/freshql'));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

export async function stage() {
  const directory = await mkdtemp(join(tmpdir(), 'freshql-example-'));
  for (const name of ['schema.graphql', 'migrations']) await cp(join(repository, name), join(directory, name), { recursive: true });
  await cp(join(example, 'queries'), join(directory, 'queries'), { recursive: true });
  const settings = { FRESHQL_LISTEN: '127.0.0.1:0', FRESHQL_MIGRATE: 'true', FRESHQL_MODE: 'trusted' };
  const server = spawn(program, [], { cwd: directory, env: settings, stdio: ['ignore', 'ignore', 'pipe'] });
  const port = await new Promise((found, failed) => {
    let log = '';
    server.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      const listening = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(log);
      if (listening) found(Number(listening[1]));
    });
    server.on('exit', () => failed(new Error(`the server ended: ${log}`)));
  });

  const wire = [];
  const front = createServer((incoming, outgoing) => {
    const path = incoming.url.split('?')[0];
    if (/^\/(q\/|graphql)/.test(path)) {
      const headers = { ...incoming.headers, host: `127.0.0.1:${port}` };
      const passed = request({ port, path: incoming.url, method: incoming.method, headers }, (answer) => {
        wire.push({ method: incoming.method, path, status: answer.statusCode });
        outgoing.writeHead(answer.statusCode, answer.rawHeaders);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
      return;
    }
    readFile(join(example, 'dist', path === '/' ? 'index.html' : path)).then(
      (file) => outgoing.writeHead(200, { 'content-type': TYPES[extname(path)] ?? TYPES['.html'], 'cache-control': 'no-store' }).end(file),
      () => outgoing.writeHead(404).end(),
    );
  });
  await new Promise((listening) => front.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${front.address().port}/`,
    wire,
    async stop() {
      front.closeAllConnections();
      front.close();
      server.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}
