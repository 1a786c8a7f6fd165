import { type BrowserContext, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';

/** Root's password, as `dragonfly up` has written it. */
export function password(): string {
  const file = process.env.DRAGONFLY_PASSWORD_FILE;
  if (!file) {
    throw new Error('DRAGONFLY_PASSWORD_FILE must name the file with root’s password, which `dragonfly up` writes');
  }
  return readFileSync(file, 'utf8').trim();
}

/** Signs in by the form. */
export async function signIn(page: Page, name = 'root', secret = password()): Promise<void> {
  await page.goto('/signin');
  await page.getByLabel('User name').fill(name);
  await page.locator('input[type=password]').fill(secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => !url.pathname.startsWith('/signin'));
}

/** Calls the API as whoever is signed in there. */
export function call(context: BrowserContext, method: string, path: string, data?: unknown) {
  return context.request.fetch(path, { method, data });
}
