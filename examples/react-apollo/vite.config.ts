import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const server = process.env.FRESHQL_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  resolve: {
    // The package from its sources. An application installs it and needs neither of these.
    alias: { 'freshql-client': fileURLToPath(new URL('../../clients/js/src', import.meta.url)) },
    dedupe: ['@apollo/client', 'graphql', 'rxjs'],
  },
  server: { proxy: { '/q/': server, '/graphql': server } },
});
