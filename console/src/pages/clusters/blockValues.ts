import type { Schemas } from '@/api/client';
import { lines } from '@/forms/lines';

/** Kinds of tasks and what of them can be refused; uploads of ordinary tasks can't be. */
export const BLOCKABLE = [
  ['task', 'download'],
  ['persistent_task', 'download'],
  ['persistent_task', 'upload'],
  ['persistent_cache_task', 'download'],
  ['persistent_cache_task', 'upload'],
] as const;

export type Part = (typeof BLOCKABLE)[number];

/** Who refuses: where in a cluster the list stands. */
export type Whose = 'peer_cluster_config' | 'seed_peer_cluster_config';

/** A list as a form holds it: one entry a line. */
export interface BlockValues {
  applications: string;
  urls: string;
  tags: string;
  priorities: string;
}

type List = Schemas['BlockList'];

export function blockOf(list: List | null | undefined, [kind, way]: Part): BlockValues {
  const ways: Partial<Record<'download' | 'upload', Schemas['Block'] | null>> | null | undefined = list?.[kind];
  const block = ways?.[way];
  return {
    applications: (block?.applications ?? []).join('\n'),
    urls: (block?.urls ?? []).join('\n'),
    tags: (block?.tags ?? []).join('\n'),
    priorities: (block?.priorities ?? []).join('\n'),
  };
}

export function isEmptyBlock(values: BlockValues): boolean {
  return Object.values(values).every((text: string) => lines(text).length === 0);
}

/** The list with one of its parts replaced; what is empty is left out. */
export function withBlock(list: List | null | undefined, [kind, way]: Part, values: BlockValues): List {
  const block = {
    applications: lines(values.applications),
    urls: lines(values.urls),
    tags: lines(values.tags),
    priorities: lines(values.priorities).map(Number),
  };
  return { ...list, [kind]: { ...list?.[kind], [way]: isEmptyBlock(values) ? null : block } };
}
