import type { Schemas } from '@/api/client';
import type { Problem } from '@/forms/problem';
import type { Pieces } from './pieces';

/** By what a content is searched. */
export type SearchBy = 'url' | 'digest' | 'id' | 'image';

export function searchJob(by: SearchBy, text: string): Schemas['CreateJob'] {
  switch (by) {
    case 'url':
      return { type: 'get_task', args: { url: text } };
    // Where a registry is trusted to vouch for a blob, the blob's digest is its task's ID.
    case 'digest':
      return { type: 'get_task', args: { task_id: digestOf(text) ?? text } };
    case 'id':
      return { type: 'get_task', args: { task_id: text } };
    case 'image':
      return { type: 'get_image_distribution', args: { type: 'image', url: text } };
  }
}

const ID = /^([0-9a-f]{64}|[0-9a-f]{128})$/i;
const DIGEST = /^(?:.*@)?(?<hash>sha256|sha512):(?<hex>[0-9a-f]+)$/i;
const DIGITS: Record<string, number> = { sha256: 64, sha512: 128 };

/** The digest in what was typed or copied: alone, or behind an image's name. */
function digestOf(text: string): string | undefined {
  const { hash = '', hex = '' } = DIGEST.exec(text)?.groups ?? {};
  return hex !== '' && hex.length === DIGITS[hash.toLowerCase()] ? hex.toLowerCase() : undefined;
}

/** Says what is wrong with what is searched, or nothing. */
export function badSearch(by: SearchBy, text: string): Problem | null {
  if (by === 'id' && !ID.test(text.trim())) {
    return { key: 'tasks.badId' };
  }
  return by === 'digest' && !digestOf(text.trim()) ? { key: 'tasks.badDigest' } : null;
}

/** A host that holds something of a content. */
export interface Holder {
  clusterId: number;
  hostname: string;
  ip: string;
  isSeed: boolean;
  isComplete: boolean;
  /** Which pieces it holds, if that is known. */
  pieces?: Pieces;
}

export function holders(works: Schemas['WorkState'][]): Holder[] {
  return works
    .flatMap(({ results }) => results)
    .flatMap((result) => ('peers' in result && !('image' in result) ? result.peers.map(holderIn(result)) : []));
}

function holderIn({ scheduler_cluster_id: clusterId }: { scheduler_cluster_id: number }) {
  return ({ hostname, ip, host_type, task_finished, pieces }: Schemas['TaskPeer']): Holder => ({
    clusterId,
    hostname,
    ip,
    isSeed: host_type === 'super',
    isComplete: task_finished,
    ...(pieces && { pieces }),
  });
}

/** A host, and how much of an image it holds. */
export interface ImageHolder {
  clusterId: number;
  hostname: string;
  ip: string;
  layers: number;
  ofLayers: number;
}

export function imageHolders(works: Schemas['WorkState'][]): ImageHolder[] {
  return works
    .flatMap(({ results }) => results)
    .flatMap((result) =>
      'image' in result
        ? result.peers.map(({ hostname, ip, cached_layers, scheduler_cluster_id: clusterId }) => ({
            clusterId,
            hostname,
            ip,
            layers: cached_layers.filter(({ is_finished }) => is_finished).length,
            ofLayers: result.image.layers.length,
          }))
        : [],
    );
}
