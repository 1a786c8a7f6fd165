import { expect, test } from '@playwright/test';
import { readFileSync } from 'node:fs';
import type { components } from '../src/api/schema';
import { largeTrace } from './otlp';
import { file, pull } from './pull';
import { call, signIn } from './root';

type Schemas = components['schemas'];

/** A name that no other run has used, where tests are run again against the same manager. */
const own = (name: string) => `${name}-${Date.now().toString(36)}`;

test.beforeEach(({ page }) => page.setDefaultTimeout(10_000));

test('a second cluster is added, and its values file has its ids', async ({ page }) => {
  await signIn(page);
  const name = own('cluster-2');
  await page.getByRole('link', { name: 'Add cluster' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Add cluster' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill(name);
  await page.getByLabel('Networks (CIDR)').fill('no network');
  await expect(page.getByText('Line 1: no network is no network')).toBeVisible();
  await page.getByLabel('Networks (CIDR)').fill('10.99.0.0/16');
  await page.getByLabel('IDC').fill('cluster-2');
  await page.getByRole('button', { name: 'Add cluster' }).click();
  await page.waitForURL(/\/clusters\/\d+$/);
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible();
  const id = Number(page.url().split('/').pop());
  const shown = await call(page.context(), 'GET', `/api/v1/clusters/${id}`);
  const cluster = (await shown.json()) as Schemas['Cluster'];
  expect(cluster.scopes).toMatchObject({ idc: 'cluster-2', cidrs: ['10.99.0.0/16'] });

  await page.getByRole('tab', { name: 'Helm values' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  const values = readFileSync(await (await download).path(), 'utf8');
  const lines = values.split('\n').map((line) => line.trim());
  expect(lines).toContain(`schedulerClusterID: ${cluster.scheduler_cluster_id}`);
  expect(lines).toContain(`clusterID: ${cluster.seed_peer_cluster_id}`);
  expect(lines).toContain('idc: cluster-2');

  await page.getByRole('tab', { name: 'Overview' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await page.waitForURL('**/clusters');
  expect((await call(page.context(), 'GET', `/api/v1/clusters/${id}`)).status()).toBe(404);
});

test('a token is shown once, works, and works no more once it is revoked', async ({ page, playwright, baseURL }) => {
  await signIn(page);
  const name = own('ci');
  await page.goto('/tokens');
  await page.getByRole('button', { name: 'Add token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByRole('button', { name: 'Add' }).click();
  await expect(dialog.getByText('It is shown this once')).toBeVisible();
  const token = await dialog.locator('code').innerText();
  const script = await playwright.request.newContext({
    baseURL,
    extraHTTPHeaders: { Authorization: `Bearer ${token}` },
  });
  expect((await script.get('/oapi/v1/clusters')).status()).toBe(200);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('button', { name: `Delete: ${name}` }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('button', { name: `Delete: ${name}` })).toBeHidden();
  expect((await script.get('/oapi/v1/clusters')).status()).toBe(401);
  await script.dispose();
});

test('a guest sees what he may not change, without the means, and is refused', async ({ browser, page }) => {
  await signIn(page);
  const name = `g${Date.now().toString(36)}`;
  const made = await call(page.context(), 'POST', '/api/v1/users', { name, password: 'first password' });
  expect(made.status()).toBe(200);
  const context = await browser.newContext();
  const guest = await context.newPage();
  guest.setDefaultTimeout(10_000);
  await signIn(guest, name, 'first password');
  // The first password opens nothing but the page on which it is changed.
  await expect(guest.getByRole('heading', { name: 'Set your own password' })).toBeVisible();
  const [present, next, again] = [0, 1, 2].map((index) => guest.locator('input[type=password]').nth(index));
  await present?.fill('first password');
  await next?.fill('second password');
  await again?.fill('second password');
  await guest.getByRole('button', { name: 'Change password' }).click();
  await expect(guest.getByRole('heading', { name: 'Set your own password' })).toBeHidden();
  await guest.goto('/clusters');
  await expect(guest.getByRole('heading', { level: 1, name: 'Clusters' })).toBeVisible();
  await expect(guest.getByRole('link', { name: 'Add cluster' })).toBeHidden();
  await expect(guest.getByRole('link', { name: 'Users' })).toBeHidden();
  await guest.goto('/clusters/1');
  await expect(guest.getByRole('tab', { name: 'Overview' })).toBeVisible();
  for (const control of ['Edit', 'Delete']) {
    await expect(guest.getByRole('main').getByText(control, { exact: true })).toBeHidden();
  }
  await expect(guest.getByRole('link', { name: 'Identity providers' })).toBeHidden();
  expect((await call(context, 'GET', '/api/v1/oauth')).status()).toBe(403);
  const refused = await call(context, 'POST', '/api/v1/clusters', { name: own('not') });
  expect(refused.status()).toBe(403);
  await context.close();
});

test('a session that is revoked elsewhere ends', async ({ browser, page }) => {
  await signIn(page);
  const context = await browser.newContext();
  const other = await context.newPage();
  await signIn(other);
  await expect(other.getByRole('heading', { level: 1, name: 'Clusters' })).toBeVisible();
  const sessions = (await (await call(context, 'GET', '/api/v1/users/1/sessions')).json()) as Schemas['UserSession'][];
  const its = sessions.find((session) => session.current);
  const revoked = await call(page.context(), 'DELETE', `/api/v1/users/1/sessions/${its?.id}`);
  expect(revoked.status()).toBe(200);
  // A busy machine may take a while to show it.
  await expect(other.getByRole('button', { name: 'Sign in' })).toBeVisible({ timeout: 15_000 });
  await context.close();
});

test('what somebody else changes is told, not asked for', async ({ page }) => {
  await signIn(page);
  await page.goto('/applications');
  // Lists are then looked at once a minute, which is longer than anything here is waited for.
  await expect(page.locator('[data-live=true]')).toHaveText('live');
  const name = own('app');
  const priority = { value: 3, urls: [{ regex: 'blobs', value: 6 }] };
  const application = { name, url: 'https://app.test', priority, user_id: 1 };
  const made = await call(page.context(), 'POST', '/api/v1/applications', application);
  const { id } = (await made.json()) as Schemas['Application'];
  await expect(page.getByRole('cell', { name, exact: true })).toBeVisible();
  await call(page.context(), 'DELETE', `/api/v1/applications/${id}`);
  await expect(page.getByRole('cell', { name, exact: true })).toBeHidden();
});

test('nothing is asked of anybody but the manager, and no inline script may run', async ({ page, baseURL }) => {
  const asked: string[] = [];
  const said: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  const answer = await page.goto('/signin');
  const policy = answer?.headers()['content-security-policy'] ?? '';
  expect(policy).toContain("script-src 'self';");
  expect(policy).not.toContain('unsafe-inline');
  expect(policy).not.toContain('unsafe-eval');
  await signIn(page);
  for (const path of ['/topology', '/jobs', '/downloads', '/kept', '/audits']) {
    await page.goto(path);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await page.waitForLoadState('networkidle');
  }
  const host = new URL(baseURL ?? '').host;
  const elsewhere = asked.filter(
    (url) => !['data:', 'blob:'].includes(new URL(url).protocol) && new URL(url).host !== host,
  );
  expect(elsewhere).toEqual([]);
  expect(said.filter((text) => text.includes('Content Security Policy'))).toEqual([]);
  const violated = page.evaluate(
    () =>
      new Promise((resolve) =>
        document.addEventListener('securitypolicyviolation', (event) => resolve(event.blockedURI)),
      ),
  );
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.name = "ran"';
    document.body.append(script);
  });
  expect(await violated).toBe('inline');
  expect(await page.evaluate(() => window.name)).toBe('');
});

test('a file is preheated, found at its holders and deleted everywhere', async ({ page }) => {
  const url = file();
  await signIn(page);
  await page.goto('/jobs/new');
  await page.getByText('Files', { exact: true }).click();
  await page.getByLabel('URLs').fill(url);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('All peers').check();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('button', { name: 'Start preheating' }).click();
  await page.waitForURL(/\/jobs\/\d+$/);
  await expect(page.getByText('succeeded').first()).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole('table').getByText('done').first()).toBeVisible();

  await page.goto('/tasks');
  const find = async () => {
    await page.getByRole('textbox', { name: 'URL' }).fill(url);
    await page.getByRole('button', { name: 'Search' }).click();
  };
  await find();
  await expect(page.getByRole('table').getByText('complete').first()).toBeVisible({ timeout: 30_000 });
  await expect(
    page
      .getByRole('table')
      .getByText(/^(\d+) of \1 pieces$/)
      .first(),
  ).toBeVisible();
  await page.getByRole('button', { name: 'Delete it everywhere' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(async () => {
    await page.goto('/tasks');
    await find();
    await expect(page.getByText('No host holds it.')).toBeVisible({ timeout: 5_000 });
  }).toPass({ timeout: 30_000 });
});

test('a download is found by its URL and shown step by step', async ({ page }) => {
  await signIn(page);
  const { id } = await pull(page.context());
  await page.goto('/downloads');
  // As it was asked for; what may be a secret is in no trace.
  await page.getByLabel('URL').fill(`${file()}?signature=secret`);
  await page.getByLabel('At most').selectOption('500');
  await page.getByRole('button', { name: 'Search' }).click();
  const link = page.getByRole('table').locator(`a[href="/downloads/${id}"]`);
  await expect(link).toHaveText(file());
  await link.click();
  await expect(page.getByRole('heading', { level: 1, name: 'Download' })).toBeVisible();
  await expect(page.getByText(/^(origin|seed peers|peers) \d/).first()).toBeVisible();

  const tree = page.getByRole('tree');
  const items = tree.getByRole('treeitem');
  await expect(items.filter({ hasText: /^Piece \d+ from/ }).first()).toBeVisible();
  // The seed peer's own download lies further down.
  const below = tree.getByRole('treeitem', { level: 2 }).filter({ hasText: /^Download/ });
  await tree.focus();
  await page.keyboard.press('ArrowLeft');
  await expect(below).toBeHidden();
  await page.keyboard.press('ArrowRight');
  await expect(below).toBeVisible();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Request' });
  await expect(dialog.getByText('http.url')).toBeVisible();
  // A link to this very step.
  await page.reload();
  await expect(dialog.getByText('http.url')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(page).toHaveURL(new RegExp(`/downloads/${id}$`));
});

test('a search that finds nothing says so, and one that can’t be meant is not asked', async ({ page }) => {
  await signIn(page);
  await page.goto('/downloads?url=%2Fnobody%2Fasked%2Ffor%2Fthis');
  await expect(page.getByText('No such download.')).toBeVisible();
  await page.getByLabel('Shortest step').fill('soon');
  await page.getByRole('button', { name: 'Search' }).click();
  await expect(page.getByText('Must be a time such as 100ms or 1.5s')).toBeVisible();
  await expect(page).toHaveURL(/\?url=%2Fnobody%2Fasked%2Ffor%2Fthis$/);
  await page.goto('/downloads/0123456789abcdef0123456789abcdef');
  await expect(page.getByRole('alert').getByText('trace not found')).toBeVisible();
});

test('an identity provider is made, offered to who signs in, and removed', async ({ browser, page }) => {
  await signIn(page);
  const name = own('idp');
  await page.goto('/providers');
  await page.getByRole('button', { name: 'Add provider' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByLabel('Client ID').fill('console');
  await dialog.getByRole('textbox', { name: 'Client secret' }).fill('s3cret');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByText('Is needed, unless the name is github or google')).toBeVisible();
  await dialog.getByLabel('Issuer').fill('https://id.example');
  await dialog.getByLabel('Return URL').fill('https://manager.example/callback');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('row', { name }).getByText('https://id.example')).toBeVisible();

  const context = await browser.newContext();
  const other = await context.newPage();
  await other.goto('/signin');
  await expect(other.getByRole('link', { name: `Sign in with ${name}` })).toHaveAttribute(
    'href',
    `/api/v1/users/signin/${name}`,
  );
  await context.close();

  await page.getByRole('button', { name: `Delete: ${name}` }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('button', { name: `Delete: ${name}` })).toBeHidden();
});

test('a download of thousands of steps is gone through with few of them in the page', async ({ page }) => {
  await signIn(page);
  const { id, message } = largeTrace(5000);
  const headers = { 'content-type': 'application/x-protobuf' };
  const kept = await page.request.post('/v1/traces', { data: message, headers });
  expect(kept.status()).toBe(200);
  await page.goto(`/downloads/${id}`);
  const tree = page.getByRole('tree');
  const step = (number: number) => tree.getByRole('treeitem', { name: new RegExp(`^step ${number}\\b`) });
  await expect(step(0)).toHaveAttribute('aria-selected', 'true');
  await tree.focus();
  await page.keyboard.press('End');
  await expect(step(5000)).toBeInViewport();
  await expect(step(5000)).toHaveAttribute('aria-selected', 'true');
  await expect(tree).toHaveAttribute('aria-activedescendant', (await step(5000).getAttribute('id')) ?? '');
  expect(await tree.getByRole('treeitem').count()).toBeLessThan(100);
  await page.keyboard.press('Home');
  await expect(step(0)).toBeInViewport();
});
