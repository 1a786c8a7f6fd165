import { expect, test } from '@playwright/test';
import { join } from 'node:path';
import { file, pull } from './pull';
import { call, signIn } from './root';

/** Where pictures go: those of the documents only if it is said, so that a test changes no file of the repository. */
const FOLDER = process.env.DRAGONFLY_IMAGES ?? 'test-results';

test.use({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', contextOptions: { reducedMotion: 'reduce' } });

test('the pages that the documents show can be taken pictures of', async ({ page }) => {
  page.setDefaultTimeout(10_000);
  const picture = (name: string) => page.screenshot({ path: join(FOLDER, `${name}.png`), animations: 'disabled' });
  await signIn(page);
  const { id } = await pull(page.context());
  await page.goto('/topology');
  await expect(page.getByText('active').nth(2)).toBeVisible();
  await picture('console-topology');
  await page.goto(`/downloads?url=${encodeURIComponent(file())}`);
  await expect(page.locator(`a[href="/downloads/${id}"]`)).toBeVisible();
  await picture('console-downloads');
  await page.goto(`/downloads/${id}`);
  await expect(
    page
      .getByRole('treeitem')
      .filter({ hasText: /^Piece/ })
      .first(),
  ).toBeVisible();
  await picture('console-download');
  const args = { type: 'file', url: file(), scope: 'all_peers' };
  const made = await call(page.context(), 'POST', '/api/v1/jobs', { type: 'preheat', args });
  const job = (await made.json()) as { id: number };
  await page.goto(`/jobs/${job.id}`);
  await expect(page.getByText('succeeded').first()).toBeVisible({ timeout: 30_000 });
  await picture('console-preheat');
});
