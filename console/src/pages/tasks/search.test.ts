import { expect, it } from 'vitest';
import type { Schemas } from '@/api/client';
import { badSearch, holders, imageHolders, searchJob } from './search';

function work(result: Schemas['WorkResult']): Schemas['WorkState'] {
  return {
    attempts: 1,
    created_at: '',
    error: '',
    results: [result],
    scheduler_cluster_id: 1,
    state: 'SUCCESS',
    targets: {},
    task_name: 'get_task',
    task_uuid: 'task_1',
    ttl: 0,
  };
}

it('finds who holds a task', () => {
  const peer = {
    id: 'h',
    hostname: 'a',
    ip: '10.0.0.1',
    host_type: 'super',
    task_finished: true,
    created_at: '',
    updated_at: '',
    pieces: { total: 2, held: [1, 1] },
  };
  const found = work({ scheduler_cluster_id: 2, peers: [peer] });
  const { hostname, ip, pieces } = peer;
  expect(holders([found])).toEqual([{ clusterId: 2, hostname, ip, isSeed: true, isComplete: true, pieces }]);
  expect(imageHolders([found])).toEqual([]);
});

it('counts an image’s layers that are whole', () => {
  const layers = [{ url: '1' }, { url: '2' }];
  const cached_layers = [
    { url: '1', is_finished: true },
    { url: '2', is_finished: false },
  ];
  const peer = { hostname: 'a', ip: '10.0.0.1', cached_layers, scheduler_cluster_id: 1 };
  const found = work({ scheduler_cluster_id: 1, image: { layers }, peers: [peer] });
  expect(imageHolders([found])).toMatchObject([{ layers: 1, ofLayers: 2 }]);
  expect(holders([found])).toEqual([]);
});

it('asks for a task by what is known of it', () => {
  expect(searchJob('id', 'ab').args).toEqual({ task_id: 'ab' });
  expect(searchJob('digest', `sha256:${'Ab'.repeat(32)}`).args).toEqual({ task_id: 'ab'.repeat(32) });
  expect(searchJob('digest', `ghcr.io/a/b@sha512:${'0'.repeat(128)}`).args).toEqual({ task_id: '0'.repeat(128) });
  expect(searchJob('image', 'nginx').type).toBe('get_image_distribution');
});

it('refuses what can be no digest and no ID', () => {
  const hex = '0'.repeat(64);
  expect([badSearch('id', ` ${hex} `), badSearch('digest', `sha256:${hex}`), badSearch('url', 'x')]).toEqual([
    null,
    null,
    null,
  ]);
  for (const bad of [hex, `md5:${hex}`, `sha512:${hex}`, `sha256:${hex}0`]) {
    expect(badSearch('digest', bad)).not.toBeNull();
  }
  expect(badSearch('id', `${hex}0`)).not.toBeNull();
});
