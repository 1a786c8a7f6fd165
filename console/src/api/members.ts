import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { data, page, type PageQuery } from './page';

export type Scheduler = Schemas['Scheduler'];
export type SeedPeer = Schemas['SeedPeer'];
export type Peer = Schemas['Peer'];
export type MemberState = Schemas['MemberState'];

export const SCHEDULERS = 'schedulers';
export const SEED_PEERS = 'seed-peers';
export const PEERS = 'peers';

export function schedulerList(query: PageQuery & { scheduler_cluster_id?: number; state?: MemberState }) {
  return queryOptions({
    queryKey: [SCHEDULERS, query],
    queryFn: () => page(api.GET('/api/v1/schedulers', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function seedPeerList(query: PageQuery & { seed_peer_cluster_id?: number; state?: MemberState }) {
  return queryOptions({
    queryKey: [SEED_PEERS, query],
    queryFn: () => page(api.GET('/api/v1/seed-peers', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export interface PeerFilter {
  scheduler_cluster_id?: number;
  host_name?: string;
  ip?: string;
  idc?: string;
  state?: MemberState;
  type?: Schemas['PeerType'];
}

export function peerList(query: PageQuery & PeerFilter) {
  return queryOptions({
    queryKey: [PEERS, query],
    queryFn: () => page(api.GET('/api/v1/peers', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function peer(id: number) {
  return queryOptions({
    queryKey: [PEERS, id],
    queryFn: () => data(api.GET('/api/v1/peers/{id}', { params: { path: { id } } })),
    ...LIVE,
  });
}

export async function deleteScheduler(id: number): Promise<void> {
  await api.DELETE('/api/v1/schedulers/{id}', { params: { path: { id } } });
}

export async function deleteSeedPeer(id: number): Promise<void> {
  await api.DELETE('/api/v1/seed-peers/{id}', { params: { path: { id } } });
}

export async function deletePeer(id: number): Promise<void> {
  await api.DELETE('/api/v1/peers/{id}', { params: { path: { id } } });
}
