import { useQueries } from '@tanstack/react-query';
import type { Cluster } from '@/api/clusters';
import { peerList, schedulerList, seedPeerList, type MemberState } from '@/api/members';
import type { Page } from '@/api/page';
import type { Drawn, Members } from './layout';

/** The most of each kind that are drawn of a cluster. */
const DRAWN = { page: 1, per_page: 12 };

interface Member {
  id: number;
  host_name: string;
  ip: string;
  state: MemberState;
}

/** The first members of the opened clusters, as far as they have been read. */
export function useMembers(opened: Cluster[]): Map<number, Members> {
  const schedulers = useQueries({
    queries: opened.map(({ scheduler_cluster_id }) => schedulerList({ ...DRAWN, scheduler_cluster_id })),
  });
  const seedPeers = useQueries({
    queries: opened.map(({ seed_peer_cluster_id }) => seedPeerList({ ...DRAWN, seed_peer_cluster_id })),
  });
  const peers = useQueries({
    queries: opened.map(({ scheduler_cluster_id }) => peerList({ ...DRAWN, scheduler_cluster_id, type: 'normal' })),
  });
  return new Map(
    opened.map(({ id }, index) => [
      id,
      together([
        part('scheduler', schedulers[index]?.data),
        part('seedPeer', seedPeers[index]?.data),
        part('peer', peers[index]?.data),
      ]),
    ]),
  );
}

function part(kind: Drawn['kind'], page: Page<Member> | undefined): Members {
  const drawn = (page?.rows ?? []).map(({ id, host_name, ip, state }) => ({
    id: `${kind}-${id}`,
    kind,
    name: host_name,
    address: ip,
    state,
    ...(kind === 'peer' && { path: `/peers/${id}` }),
  }));
  return { drawn, more: (page?.total ?? 0) - drawn.length };
}

function together(parts: Members[]): Members {
  return {
    drawn: parts.flatMap(({ drawn }) => drawn),
    more: parts.reduce((sum, { more }) => sum + more, 0),
  };
}
