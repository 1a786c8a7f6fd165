import { defineConfig } from '@playwright/test';

/** Where the manager serves the console; whoever runs the tests has started it. */
const baseURL = process.env.DRAGONFLY_CONSOLE ?? 'http://127.0.0.1:8080';

export default defineConfig({
  testDir: 'tests',
  // One cluster, which the tests change one after the other.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 60_000,
  reporter: 'list',
  use: {
    baseURL,
    locale: 'en-US',
    // Debian's: none is downloaded.
    launchOptions: { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
  },
});
