import { expect, it } from 'vitest';
import { BLOCKED, CLUSTER } from './cluster.fixture';
import { NEW_CLUSTER, requestOf, valuesOf } from './clusterValues';

it('changes what the form shows and keeps what it does not', () => {
  const request = requestOf({ ...valuesOf(CLUSTER), cidrs: '10.2.0.0/16\n\n fd00::/8 ', peerLoad: 60 }, CLUSTER);
  expect(request.scopes?.cidrs).toEqual(['10.2.0.0/16', 'fd00::/8']);
  expect(request.peer_cluster_config).toEqual({ load_limit: 60, block_list: BLOCKED });
  expect(request.scheduler_cluster_config.candidate_parent_limit).toBe(4);
});

it('asks to be the default only if that was chosen', () => {
  expect(requestOf(NEW_CLUSTER)).not.toHaveProperty('is_default');
  expect(requestOf({ ...NEW_CLUSTER, isDefault: true }).is_default).toBe(true);
});
