import type { TraceSearch } from '@/api/traces';
import { lines, firstBad } from '@/forms/lines';
import type { Rule } from '@/forms/problem';

/** A search as its form and the page's address hold it; what is empty is not asked. */
export interface SearchValues {
  url: string;
  /** The host whose process tells of it. */
  node: string;
  /** `key=value`, one a line. */
  tags: string;
  service: string;
  shortest: string;
  longest: string;
  since: string;
  limit: string;
}

export const FIELDS = ['url', 'node', 'tags', 'service', 'shortest', 'longest', 'since', 'limit'] as const;

/** How far back, in seconds. */
export const SINCE = { quarter: '900', hour: '3600', day: '86400', week: '604800' } as const;
export const LIMITS = ['20', '100', '500'] as const;

/** Under which a peer tells of its downloads. */
export const USUAL_SERVICE = 'dragonfly-dfget';

const DURATION = /^\d+(\.\d+)?\s*(us|µs|ms|s|m|h)$/;
const TAG = /^(?<key>[^=]+)=(?<value>.*)$/;

export function valuesIn(params: URLSearchParams): SearchValues {
  const text = (field: string) => params.get(field) ?? '';
  return {
    url: text('url'),
    node: text('node'),
    tags: params.getAll('tags').join('\n'),
    service: text('service') || USUAL_SERVICE,
    shortest: text('shortest'),
    longest: text('longest'),
    since: Object.values(SINCE).find((since) => since === text('since')) ?? '',
    limit: LIMITS.find((limit) => limit === text('limit')) ?? LIMITS[0],
  };
}

export function paramsOf({ tags, ...values }: SearchValues): URLSearchParams {
  const usual = valuesIn(new URLSearchParams());
  const params = new URLSearchParams();
  for (const field of FIELDS) {
    const value = field === 'tags' ? '' : values[field].trim();
    if (value !== '' && (field === 'service' || field === 'limit' ? value !== usual[field] : true)) {
      params.set(field, value);
    }
  }
  lines(tags).forEach((tag) => params.append('tags', tag));
  return params;
}

/** As the manager is asked. */
export function searchOf(values: SearchValues): TraceSearch {
  const tags = Object.fromEntries(
    lines(values.tags).map((line) => {
      const { key = '', value = '' } = TAG.exec(line)?.groups ?? {};
      return [key.trim(), value.trim()];
    }),
  );
  const url = values.url.trim();
  if (url !== '') {
    tags['http.url'] = asTold(url);
  }
  const node = values.node.trim();
  if (node !== '') {
    tags['host.name'] = node;
  }
  return {
    service: values.service,
    limit: Number(values.limit),
    ...(Object.keys(tags).length > 0 && { tags: JSON.stringify(tags) }),
    ...(values.shortest.trim() && { minDuration: values.shortest.trim() }),
    ...(values.longest.trim() && { maxDuration: values.longest.trim() }),
    ...(values.since && { since: Number(values.since) }),
  };
}

/** A URL as traces have it: without user, fragment and parameters but the registry's name, since those may be secrets. */
export function asTold(url: string): string {
  const [, scheme = '', authority = '', path = '', query = ''] =
    /^([a-z][a-z0-9+.-]*:\/\/)?((?<=:\/\/)[^/?#]*)?([^?#]*)(?:\?([^#]*))?/i.exec(url) ?? [];
  const namespace = query.split('&').find((pair) => pair.startsWith('ns='));
  return `${scheme}${authority.replace(/^.*@/, '')}${path}${namespace ? `?${namespace}` : ''}`;
}

export const optionalDuration: Rule<string> = (text) =>
  text.trim() === '' || DURATION.test(text.trim()) ? null : { key: 'downloads.badDuration' };

export const tagLines: Rule<string> = (text) => {
  const bad = firstBad(text, (line) => (TAG.test(line) ? null : {}));
  return bad && { key: 'downloads.badTag', values: { line: bad.line } };
};
