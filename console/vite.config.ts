import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { budget } from './build/budget';
import { compress } from './build/compress';

/** Where `npm run dev` finds a manager. */
const manager = process.env.DRAGONFLY_MANAGER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react(), budget({ maxKib: 350 }), compress()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  // The manager puts a new nonce here each time that it serves the page.
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    outDir: 'dist/site',
    emptyOutDir: true,
    // Else small pictures would become data in the script.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { '/api': manager, '/jaeger': manager } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
