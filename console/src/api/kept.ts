import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { page, type PageQuery } from './page';

export type KeptTask = Schemas['KeptTask'];

/** By which policy tasks are kept: as their paths are called. */
export type Keeping = 'persistent-cache-tasks' | 'persistent-tasks';

export const KEEPINGS: Keeping[] = ['persistent-cache-tasks', 'persistent-tasks'];
export const KEPT = 'kept';

export function keptList(keeping: Keeping, query: PageQuery & { scheduler_cluster_id: number }) {
  return queryOptions({
    queryKey: [KEPT, keeping, query],
    queryFn: () => page(api.GET(`/api/v1/${keeping}`, { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

/** A job does it; the task leaves the list when its peers have dropped it. */
export async function deleteKept(keeping: Keeping, { id, scheduler_cluster_id }: KeptTask): Promise<void> {
  await api.DELETE(`/api/v1/${keeping}/{id}`, { params: { path: { id }, query: { scheduler_cluster_id } } });
}
