import { expect, type BrowserContext } from '@playwright/test';
import { randomUUID } from 'node:crypto';
import { get } from 'node:http';
import type { components } from '../src/api/schema';
import { call } from './root';

type Found = components['schemas']['JaegerAnswer_Vec_JaegerTrace'];
type Span = components['schemas']['JaegerSpan'];

/** The URL of a file that the cluster's peers may fetch. */
export function file(): string {
  return given('DRAGONFLY_FILE', 'the URL of a file that the cluster’s peers may fetch');
}

function given(variable: string, what: string): string {
  const value = process.env[variable];
  if (!value) {
    throw new Error(`${variable} must be ${what}`);
  }
  return value;
}

/** Pulls the file through a peer's proxy, as a task of its own; returns the trace when all of it is kept, and its first span. */
export async function pull(context: BrowserContext): Promise<{ id: string; span: string }> {
  // The test begins the trace, so that it knows which one is its own.
  const id = randomUUID().replaceAll('-', '');
  expect(await throughProxy(`${file()}?run=${id}`, `00-${id}-00f067aa0ba902b7-01`)).toBe(200);
  let spans: Span[] = [];
  // Spans are sent when they have ended, each when its turn has come.
  await expect(async () => {
    const found = (await (await call(context, 'GET', `/jaeger/api/traces/${id}`)).json()) as Found;
    spans = found.data?.[0]?.spans ?? [];
    const names = spans.map(({ operationName }) => operationName);
    expect(names).toEqual(expect.arrayContaining(['proxy', 'download']));
  }).toPass({ timeout: 30_000 });
  return { id, span: spans.find(({ operationName }) => operationName === 'proxy')?.spanID ?? '' };
}

/** Status of an answer that was read to its end. Playwright's own client asks proxies only for tunnels. */
function throughProxy(url: string, traceparent: string): Promise<number | undefined> {
  const { hostname, port } = new URL(given('DRAGONFLY_PROXY', 'the URL of a peer’s proxy'));
  const headers = { host: new URL(url).host, 'x-dragonfly-use-p2p': 'true', traceparent };
  return new Promise((resolve, reject) => {
    get({ hostname, port, path: url, headers }, (answer) => {
      answer.on('end', () => resolve(answer.statusCode)).on('error', reject);
      answer.resume();
    }).on('error', reject);
  });
}
