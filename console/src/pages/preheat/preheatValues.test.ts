import { expect, it } from 'vitest';
import { NEW_PREHEAT, requestOf } from './preheatValues';

it('asks for an image with the registry’s user, and for files without', () => {
  const image = requestOf({ ...NEW_PREHEAT, image: ' nginx:1.27 ', username: 'ada', password: 'secret' });
  expect(image.args).toMatchObject({ type: 'image', url: 'nginx:1.27', username: 'ada', password: 'secret' });
  const files = requestOf({ ...NEW_PREHEAT, kind: 'file', files: 'https://a/1\n\nhttps://a/2', username: 'ada' });
  expect(files.args).toMatchObject({ type: 'file', urls: ['https://a/1', 'https://a/2'] });
  expect(files.args).not.toHaveProperty('username');
});

it('chooses among several receivers only', () => {
  const some = { ...NEW_PREHEAT, choose: 'count', count: 3 } as const;
  expect(requestOf(some).args).not.toHaveProperty('count');
  expect(requestOf({ ...some, scope: 'all_peers' }).args).toMatchObject({ scope: 'all_peers', count: 3 });
  expect(requestOf({ ...some, scope: 'all_peers', choose: 'ips', ips: '::1' }).args).toMatchObject({ ips: ['::1'] });
});

it('names clusters by number, and the time in nanoseconds', () => {
  const request = requestOf({ ...NEW_PREHEAT, clusters: ['1', '2'], minutes: 5, headers: 'A: b: c' });
  expect(request.scheduler_cluster_ids).toEqual([1, 2]);
  expect(request.args).toMatchObject({ timeout: 300_000_000_000, headers: { A: 'b: c' } });
});
