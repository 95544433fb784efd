import { defineConfig } from 'vite';
import { licences } from './licences.js';

const { page, worker } = licences({ fileName: 'THIRD-PARTY-LICENSES.txt' });

const PROXIED = ['/graphql', '/q/', '/graphiql/operations', '/schema.graphql'];

// Everything is served under /graphiql by the binary (src/http/console.rs), which relies on two things: the page is
// index.html, and whatever lies in assets/ carries a hash of its content in its name.
export default defineConfig({
  base: '/graphiql/',
  plugins: [page],
  worker: { plugins: () => [worker] },
  build: {
    target: 'es2022',
    sourcemap: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      // Libraries mark files with "use client" for React's servers; there is none here, and a hundred warnings would
      // hide the one that counts.
      onLog(level, log, next) {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') next(level, log);
      },
    },
  },
  // `npm run dev` beside a running freshql: at FRESHQL_URL, or where one listens by default.
  server: { proxy: Object.fromEntries(PROXIED.map((path) => [path, process.env.FRESHQL_URL ?? 'http://127.0.0.1:8080'])) },
});
