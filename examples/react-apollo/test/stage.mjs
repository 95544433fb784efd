// The server on a copy of the demo and this application's queries, in mode `trusted`, and the built application beside it, at
// the same origin or at another. What goes over the wire is noted.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const example = fileURLToPath(new URL('..', import.meta.url));
const repository = resolve(example, '../..');
const program = resolve(process.env.FRESHQL_BIN ?? join(repository, 'target/debug/freshql'));
// What `run.mjs` builds it with.
const BUILT_FOR = 'https://freshql.invalid';
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

const SECRET = 'a secret of the tests, thirty-two bytes or more';

/** The token of somebody with these claims, as `freshql token` makes it. */
export function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const said = { iss: 'https://market.example/', aud: 'market', exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(said)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

export async function stage({ isCrossOrigin = false } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'freshql-example-'));
  for (const name of ['schema.graphql', 'freshql.toml', 'migrations']) await cp(join(repository, name), join(directory, name), { recursive: true });
  await cp(join(example, 'queries'), join(directory, 'queries'), { recursive: true });

  const wire = [];
  let port;
  const pass = (incoming, outgoing) => {
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}` };
    const passed = request({ port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      wire.push({ method: incoming.method, path: incoming.url.split('?')[0], status: answer.statusCode, hasToken: 'authorization' in incoming.headers });
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  };
  const api = await listen(pass);
  const front = await listen((incoming, outgoing) => {
    const path = incoming.url.split('?')[0];
    if (/^\/(q\/|graphql)/.test(path)) return pass(incoming, outgoing);
    readFile(join(example, 'dist', path === '/' ? 'index.html' : path), 'utf8').then(
      (file) => {
        outgoing.writeHead(200, { 'content-type': TYPES[extname(path)] ?? TYPES['.html'], 'cache-control': 'no-store' });
        outgoing.end(file.replaceAll(BUILT_FOR, isCrossOrigin ? api.origin : ''));
      },
      () => outgoing.writeHead(404).end(),
    );
  });

  const settings = { FRESHQL_LISTEN: '127.0.0.1:0', FRESHQL_MIGRATE: 'true', FRESHQL_MODE: 'trusted', FRESHQL_JWT_SECRET: SECRET, FRESHQL_CORS_ORIGINS: front.origin };
  const server = spawn(program, [], { cwd: directory, env: settings, stdio: ['ignore', 'ignore', 'pipe'] });
  port = await new Promise((found, failed) => {
    let log = '';
    server.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      const listening = /listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(log);
      if (listening) found(Number(listening[1]));
    });
    server.on('exit', () => failed(new Error(`the server ended: ${log}`)));
  });
  return {
    url: `${front.origin}/`,
    wire,
    async stop() {
      for (const { server } of [front, api]) {
        server.closeAllConnections();
        server.close();
      }
      server.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function listen(handler) {
  const server = createServer(handler);
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}
