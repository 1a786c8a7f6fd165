import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Cluster } from '@/api/clusters';
import { CLUSTER } from './cluster.fixture';
import { helmValues, type Place } from './helm';

const PLACE: Place = {
  host: 'dragonfly-manager.cluster-a.svc.cluster.local',
  restPort: 8080,
  grpcPort: 65003,
  pin: false,
  nodes: 'cluster=b',
};

/** The chart's tests install this very file. */
it('writes what the article wrote by hand, which the chart is tested with', async () => {
  const committed = new URL('../../../../e2e/tests/chart/values/console-b.yaml', import.meta.url);
  expect(helmValues(CLUSTER, PLACE)).toBe(await readFile(committed, 'utf8'));
});

it('has peers name their cluster, where scopes shall not decide', () => {
  const values: unknown = parse(helmValues(CLUSTER, { ...PLACE, pin: true, nodes: '' }));
  expect(values).toMatchObject({ client: { config: { host: { schedulerClusterID: 2 } } } });
  expect(values).not.toHaveProperty('client.nodeSelector');
});

it('says nothing of a host whose cluster is known by network or name', () => {
  const cluster: Cluster = { ...CLUSTER, name: 'a\nb: c', scopes: { cidrs: ['10.2.0.0/16'] } };
  expect(parse(helmValues(cluster, PLACE))).toHaveProperty('client', { nodeSelector: { cluster: 'b' }, config: {} });
});
