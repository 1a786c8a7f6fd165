import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { ALL, data, page, type PageQuery } from './page';

export type Cluster = Schemas['Cluster'];
export type HostQuery = NonNullable<Parameters<typeof match>[0]>;

export const CLUSTERS = 'clusters';

export function clusterList(query: PageQuery & { name?: string }) {
  return queryOptions({
    queryKey: [CLUSTERS, query],
    queryFn: () => page(api.GET('/api/v1/clusters', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

/** For choices. */
export const allClusters = clusterList(ALL);

export function cluster(id: number) {
  return queryOptions({
    queryKey: [CLUSTERS, id],
    queryFn: () => data(api.GET('/api/v1/clusters/{id}', { params: { path: { id } } })),
    ...LIVE,
  });
}

export function createCluster(body: Schemas['CreateCluster']) {
  return data(api.POST('/api/v1/clusters', { body }));
}

export function updateCluster(id: number, body: Schemas['UpdateCluster']) {
  return data(api.PATCH('/api/v1/clusters/{id}', { params: { path: { id } }, body }));
}

export async function deleteCluster(id: number): Promise<void> {
  await api.DELETE('/api/v1/clusters/{id}', { params: { path: { id } } });
}

/** Which cluster would serve a host with these properties, and why. */
export function match(query: {
  ip?: string;
  hostname?: string;
  idc?: string;
  location?: string;
  scheduler_cluster_id?: number;
  seed_peer?: boolean;
}) {
  return data(api.GET('/api/v1/clusters/match', { params: { query } }));
}
