import type { Cluster } from '@/api/clusters';

export const BLOCKED = { task: { download: { tags: ['huge'] } } };

/** The article’s second cluster, for tests. */
export const CLUSTER: Cluster = {
  id: 2,
  name: 'cluster-2',
  bio: '',
  is_default: false,
  scheduler_cluster_id: 2,
  seed_peer_cluster_id: 2,
  scopes: { idc: 'cluster-2', location: '', cidrs: ['10.2.0.0/16'], hostnames: [] },
  scheduler_cluster_config: { candidate_parent_limit: 4, filter_parent_limit: 40, job_rate_limit: 10 },
  seed_peer_cluster_config: { load_limit: 2000 },
  peer_cluster_config: { load_limit: 50, block_list: BLOCKED },
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
};
