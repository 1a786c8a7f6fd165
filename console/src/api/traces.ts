import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { data } from './page';

export type Trace = Schemas['JaegerTrace'];
export type Span = Schemas['JaegerSpan'];
export type Tag = Schemas['JaegerTag'];
export type Log = Schemas['JaegerLog'];

/** Which traces: those with a span that is all of this. */
export interface TraceSearch {
  service: string;
  /** As a JSON object of texts. */
  tags?: string;
  minDuration?: string;
  maxDuration?: string;
  limit: number;
  /** So many seconds ago at most; it is reckoned when the manager is asked. */
  since?: number;
}

/** What was found, the newest first, and why there may be more. */
export interface FoundTraces {
  traces: Trace[];
  warnings: string[];
}

export const TRACES = 'traces';

export const serviceList = queryOptions({
  queryKey: [TRACES, 'services'],
  queryFn: async () => (await data(api.GET('/jaeger/api/services'))).data ?? [],
});

/** It is not looked at again by itself: a search may read much. */
export function traceList(search: TraceSearch) {
  return queryOptions({
    queryKey: [TRACES, search],
    queryFn: async (): Promise<FoundTraces> => {
      const { since, ...query } = search;
      const start = since === undefined ? {} : { start: (Date.now() - since * 1000) * 1000 };
      const answer = await data(api.GET('/jaeger/api/traces', { params: { query: { ...query, ...start } } }));
      const traces = answer.data ?? [];
      const warnings = [
        ...(answer.errors ?? []).map(({ msg }) => msg),
        ...traces.flatMap((trace) => trace.warnings ?? []),
      ];
      return { traces, warnings: [...new Set(warnings)] };
    },
    placeholderData: keepPreviousData,
  });
}

export function trace(id: string) {
  return queryOptions({
    queryKey: [TRACES, id],
    queryFn: async () => {
      const answer = await data(api.GET('/jaeger/api/traces/{id}', { params: { path: { id } } }));
      const found = answer.data?.[0];
      if (!found) {
        throw new Error(answer.errors?.[0]?.msg ?? id);
      }
      return found;
    },
  });
}
