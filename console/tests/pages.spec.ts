import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import { pull } from './pull';
import { signIn } from './root';

const PAGES = [
  '/clusters',
  '/clusters/1',
  '/clusters/1?part=members',
  '/clusters/1?part=placement',
  '/clusters/1?part=helm',
  '/clusters/1?part=blockLists',
  '/clusters/1/edit',
  '/clusters/new',
  '/topology',
  '/placement',
  '/peers',
  '/jobs',
  '/jobs/new',
  '/tasks',
  '/tasks?by=digest',
  '/downloads',
  '/downloads?tags=error%3Dtrue&since=900&limit=500',
  '/downloads/0123456789abcdef0123456789abcdef',
  '/kept',
  '/kept?keeping=persistent-tasks',
  '/applications',
  '/settings',
  '/users',
  '/users/1',
  '/roles',
  '/roles/guest',
  '/tokens',
  '/providers',
  '/audits',
  '/profile',
  '/nowhere',
];

test.beforeEach(async ({ page }) => {
  page.setDefaultTimeout(10_000);
  await signIn(page);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every page is accessible and fits 360 pixels in ${colorScheme} colours`, async ({ page }) => {
    test.setTimeout(360_000);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width: 360, height: 740 });
    const { id, span } = await pull(page.context());
    for (const path of [...PAGES, `/downloads/${id}`, `/downloads/${id}?at=${span}`]) {
      await open(page, path);
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
      expect.soft(found, path).toEqual([]);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect.soft(width, `width of ${path}`).toBeLessThanOrEqual(360);
    }
  });
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await page.waitForLoadState('networkidle');
}
