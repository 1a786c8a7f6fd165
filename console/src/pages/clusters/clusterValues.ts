import type { Cluster } from '@/api/clusters';
import type { Schemas } from '@/api/client';
import { lines } from '@/forms/lines';

/** A cluster as a form holds it. */
export interface ClusterValues {
  name: string;
  bio: string;
  isDefault: boolean;
  idc: string;
  location: string;
  cidrs: string;
  hostnames: string;
  peerLoad: number | string;
  seedLoad: number | string;
  candidates: number | string;
  filter: number | string;
  jobRate: number | string;
}

/** A new one, with the manager's own limits. */
export const NEW_CLUSTER: ClusterValues = {
  name: '',
  bio: '',
  isDefault: false,
  idc: '',
  location: '',
  cidrs: '',
  hostnames: '',
  peerLoad: 200,
  seedLoad: 2000,
  candidates: 3,
  filter: 15,
  jobRate: 10,
};

export function valuesOf(cluster: Cluster): ClusterValues {
  const { scopes, scheduler_cluster_config: scheduler } = cluster;
  return {
    name: cluster.name,
    bio: cluster.bio,
    isDefault: cluster.is_default,
    idc: scopes.idc ?? '',
    location: scopes.location ?? '',
    cidrs: (scopes.cidrs ?? []).join('\n'),
    hostnames: (scopes.hostnames ?? []).join('\n'),
    peerLoad: cluster.peer_cluster_config.load_limit ?? NEW_CLUSTER.peerLoad,
    seedLoad: cluster.seed_peer_cluster_config.load_limit ?? NEW_CLUSTER.seedLoad,
    candidates: scheduler.candidate_parent_limit ?? NEW_CLUSTER.candidates,
    filter: scheduler.filter_parent_limit ?? NEW_CLUSTER.filter,
    jobRate: scheduler.job_rate_limit ?? NEW_CLUSTER.jobRate,
  };
}

/** The request that makes the cluster so. What the form does not show, such as block lists, stays as `old` has it. */
export function requestOf(values: ClusterValues, old?: Cluster): Schemas['CreateCluster'] {
  return {
    name: values.name,
    bio: values.bio,
    // A default can only be taken over, never just given up.
    ...(values.isDefault && { is_default: true }),
    scopes: {
      idc: values.idc,
      location: values.location,
      cidrs: lines(values.cidrs),
      hostnames: lines(values.hostnames),
    },
    scheduler_cluster_config: {
      candidate_parent_limit: Number(values.candidates),
      filter_parent_limit: Number(values.filter),
      job_rate_limit: Number(values.jobRate),
    },
    seed_peer_cluster_config: { ...old?.seed_peer_cluster_config, load_limit: Number(values.seedLoad) },
    peer_cluster_config: { ...old?.peer_cluster_config, load_limit: Number(values.peerLoad) },
  };
}
