import type { Schemas } from '@/api/client';
import { headersOf } from '@/forms/headers';
import { lines } from '@/forms/lines';

/** A preheat job as the wizard holds it. */
export interface PreheatValues {
  kind: Schemas['PreheatKind'];
  image: string;
  platform: string;
  username: string;
  password: string;
  files: string;
  /** Ids as text, since that is what choices are; empty: all clusters. */
  clusters: string[];
  scope: Schemas['PreheatScope'];
  choose: 'everyone' | 'count' | 'percentage' | 'ips';
  count: number | string;
  percentage: number | string;
  ips: string;
  tag: string;
  application: string;
  filter: string;
  headers: string;
  bio: string;
  minutes: number | string;
}

export const NEW_PREHEAT: PreheatValues = {
  kind: 'image',
  image: '',
  platform: '',
  username: '',
  password: '',
  files: '',
  clusters: [],
  scope: 'single_seed_peer',
  choose: 'everyone',
  count: 10,
  percentage: 10,
  ips: '',
  tag: '',
  application: '',
  filter: '',
  headers: '',
  bio: '',
  minutes: 60,
};

const NANOS_PER_MINUTE = 60_000_000_000;

export function requestOf(values: PreheatValues): Schemas['CreateJob'] {
  const args: Schemas['PreheatArgs'] = {
    ...content(values),
    ...receivers(values),
    tag: values.tag,
    application: values.application,
    filtered_query_params: values.filter,
    headers: headersOf(values.headers),
    timeout: Number(values.minutes) * NANOS_PER_MINUTE,
  };
  return { type: 'preheat', args, bio: values.bio, scheduler_cluster_ids: values.clusters.map(Number) };
}

function content({ kind, image, files, platform, username, password }: PreheatValues): Schemas['PreheatArgs'] {
  return kind === 'image'
    ? { type: kind, url: image.trim(), platform, username, ...(password && { password }) }
    : { type: kind, urls: lines(files) };
}

/** Only of several can some be chosen. */
function receivers(values: PreheatValues): Schemas['PreheatArgs'] {
  const { scope, choose, ips } = values;
  if (scope === 'single_seed_peer' || choose === 'everyone') {
    return { scope };
  }
  return choose === 'ips' ? { scope, ips: lines(ips) } : { scope, [choose]: Number(values[choose]) };
}
