import type { Log, Span, Trace } from '@/api/traces';

const TYPES: Record<string, string> = { string: 'string', boolean: 'bool', number: 'int64' };

function tags(of: Record<string, string | number | boolean>) {
  return Object.entries(of).map(([key, value]) => ({ key, type: TYPES[typeof value] ?? 'string', value }));
}

/** A span that began so many microseconds after the first. */
export function span(id: string, parent: string, start: number, duration: number, more: Partial<Span> = {}): Span {
  return {
    traceID: '1',
    spanID: id,
    operationName: id,
    references: parent === '' ? [] : [{ refType: 'CHILD_OF', traceID: '1', spanID: parent }],
    startTime: start,
    duration,
    tags: [],
    logs: [],
    processID: 'p1',
    ...more,
  };
}

/** A piece that ended so many microseconds after the first span began. */
export function piece(number: number, end: number, ms: number, parent?: string): Log {
  const said = { event: 'piece', number, length: 100, ms, ...(parent !== undefined && { parent }) };
  return { timestamp: end, fields: tags(said) };
}

export function traceOf(...spans: Span[]): Trace {
  return { traceID: '1', spans, processes: { p1: { serviceName: 'dragonfly-dfget', tags: [] } }, warnings: null };
}

export { tags };
