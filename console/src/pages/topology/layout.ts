import type { Cluster } from '@/api/clusters';
import type { MemberState } from '@/api/members';

/** A member of a cluster as it is drawn. */
export interface Drawn {
  id: string;
  kind: 'scheduler' | 'seedPeer' | 'peer';
  name: string;
  address: string;
  state: MemberState;
  /** Its own page, if it has one. */
  path?: string;
}

/** The first members of an opened cluster, and how many more there are. */
export interface Members {
  drawn: Drawn[];
  more: number;
}

export type Spot = { id: string; x: number; y: number } & (
  | { kind: 'manager' }
  | { kind: 'cluster'; cluster: Cluster; isOpen: boolean }
  | { kind: 'member'; member: Drawn }
  | { kind: 'more'; count: number; path: string }
  | { kind: 'nobody' }
);

export interface Line {
  from: string;
  to: string;
  isAlive: boolean;
}

const COLUMN = 300;
const ROW = 64;
const CLUSTER_ROW = 104;
const MANAGER = 'manager';

/** A tree from left to right: the manager, its clusters, and the members of those that are opened. */
export function layout(clusters: Cluster[], opened: ReadonlyMap<number, Members>): { spots: Spot[]; lines: Line[] } {
  const spots: Spot[] = [];
  const lines: Line[] = [];
  let top = 0;
  for (const cluster of clusters) {
    const id = `cluster-${cluster.id}`;
    const members = opened.get(cluster.id);
    const leaves = members ? leavesOf(cluster, members) : [];
    const height = Math.max(CLUSTER_ROW, leaves.length * ROW);
    spots.push({
      id,
      kind: 'cluster',
      cluster,
      isOpen: members !== undefined,
      x: COLUMN,
      y: middle(top, height, CLUSTER_ROW),
    });
    lines.push({ from: MANAGER, to: id, isAlive: true });
    const first = middle(top, height, leaves.length * ROW);
    for (const [index, leaf] of leaves.entries()) {
      spots.push({ ...leaf, x: 2 * COLUMN, y: first + index * ROW });
      lines.push({ from: id, to: leaf.id, isAlive: leaf.kind !== 'member' || leaf.member.state === 'active' });
    }
    top += height;
  }
  spots.unshift({ id: MANAGER, kind: 'manager', x: 0, y: middle(0, Math.max(top, CLUSTER_ROW), CLUSTER_ROW) });
  return { spots, lines };
}

type Leaf = { id: string } & (
  { kind: 'member'; member: Drawn } | { kind: 'more'; count: number; path: string } | { kind: 'nobody' }
);

function leavesOf({ id }: Cluster, { drawn, more }: Members): Leaf[] {
  const leaves: Leaf[] = drawn.map((member) => ({ id: member.id, kind: 'member', member }));
  if (more > 0) {
    leaves.push({ id: `more-${id}`, kind: 'more', count: more, path: `/clusters/${id}?part=members` });
  }
  return leaves.length > 0 ? leaves : [{ id: `nobody-${id}`, kind: 'nobody' }];
}

/** Where something of a height starts that stands in the middle of a room. */
function middle(top: number, room: number, height: number): number {
  return top + (room - height) / 2;
}
