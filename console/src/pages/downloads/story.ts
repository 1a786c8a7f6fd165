import type { Log, Span, Tag, Trace } from '@/api/traces';

/** What a piece or a whole pull came from. */
export type Source = 'origin' | 'seed' | 'peer' | 'local';

export const SOURCES: Source[] = ['origin', 'seed', 'peer', 'local'];

/** A piece as a download's span tells of it. */
export interface Piece {
  number: number;
  length: number;
  source: Source;
  /** Whose piece it was; nobody's if it came from the origin. */
  parent: string | undefined;
  /** In microseconds since 1970. */
  start: number;
  duration: number;
}

/** A trace in short. */
export interface Summary {
  id: string;
  /** What was asked for, or what its first span is called. */
  subject: string;
  start: number;
  duration: number;
  spans: number;
  failed: number;
  /** The hosts that downloaded. */
  hosts: string[];
  bytes: Record<Source, number>;
}

/** Tags that say what a trace is about. */
const ABOUT = ['http.url', 'dragonfly.task.id', 'rpc.method'];

export function textOf(tags: Tag[], key: string): string | undefined {
  const value = tags.find((tag) => tag.key === key)?.value;
  return value === undefined ? undefined : plain(value);
}

function numberOf(tags: Tag[], key: string): number {
  const value = Number(textOf(tags, key));
  return Number.isFinite(value) ? value : 0;
}

/** A value as people read it. */
export function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Whether it says so, or answered so. */
export function hasFailed({ tags }: Span): boolean {
  return textOf(tags, 'error') === 'true' || numberOf(tags, 'http.response.status_code') >= 400;
}

/** Why it failed, in the words of whoever failed. */
export function failureOf(span: Span): string | undefined {
  return hasFailed(span) ? textOf(span.tags, 'otel.status_description') : undefined;
}

/** Its first and its last microsecond. Clocks of hosts differ, so the first need not be the root's. */
export function extentOf({ spans }: Trace): { start: number; end: number } {
  let [start, end] = [Infinity, -Infinity];
  for (const span of spans) {
    start = Math.min(start, span.startTime);
    end = Math.max(end, span.startTime + span.duration);
  }
  return spans.length === 0 ? { start: 0, end: 0 } : { start, end };
}

/** The span within which it ran, of those in the same trace. */
export function parentOf({ spanID, references }: Span): string | undefined {
  const parent = references.find(({ refType }) => refType === 'CHILD_OF')?.spanID;
  return parent === spanID ? undefined : parent;
}

/** The parts of a peer's id: the address and name of its host, and what tells it from others there. */
const PEER_ID = /^(?<ip>[0-9a-f.:]+)-(?<host>.+?)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?<seed>-seed)?$/;

/** The name of the host on which a peer is, as far as its id tells. */
export function hostOf(peer: string): string {
  return PEER_ID.exec(peer)?.groups?.host ?? peer;
}

export function isSeed(peer: string): boolean {
  return peer.endsWith('-seed');
}

/** The pieces of which a span tells, by their start. */
export function piecesOf({ tags, logs }: Span): Piece[] {
  // A piece without a parent is the origin's, unless the download says that nothing was.
  const alone: Source = textOf(tags, 'dragonfly.bytes.origin') === '0' ? 'local' : 'origin';
  return logs
    .filter(isPiece)
    .map(({ timestamp, fields }): Piece => {
      const parent = textOf(fields, 'parent');
      const duration = numberOf(fields, 'ms') * 1000;
      return {
        number: numberOf(fields, 'number'),
        length: numberOf(fields, 'length'),
        source: parent === undefined ? alone : isSeed(parent) ? 'seed' : 'peer',
        parent,
        start: timestamp - duration,
        duration,
      };
    })
    .sort((one, other) => one.start - other.start);
}

/** Whether an event is the end of a piece. */
export function isPiece({ fields }: Log): boolean {
  return textOf(fields, 'event') === 'piece';
}

/** Where the bytes of a pull came from. What a seed peer fetched for it is the seed's download, not the pull's. */
export function bytesOf({ spans }: Trace): Record<Source, number> {
  const bytes = { origin: 0, seed: 0, peer: 0, local: 0 };
  for (const span of outermost(spans, 'download')) {
    for (const { source, length } of piecesOf(span)) {
      bytes[source] += length;
    }
  }
  for (const { tags } of spans) {
    if (textOf(tags, 'dragonfly.local') === 'true') {
      bytes.local += numberOf(tags, 'http.response.body.size');
    }
  }
  return bytes;
}

/** The spans of a name that are not within another of it. */
function outermost(spans: Span[], name: string): Span[] {
  const byId = new Map(spans.map((span) => [span.spanID, span]));
  return spans.filter((span) => {
    if (span.operationName !== name) {
      return false;
    }
    // Spans may be each other's parents, since anybody may send them.
    const seen = new Set([span.spanID]);
    let above = byId.get(parentOf(span) ?? '');
    while (above && !seen.has(above.spanID)) {
      if (above.operationName === name) {
        return false;
      }
      seen.add(above.spanID);
      above = byId.get(parentOf(above) ?? '');
    }
    return true;
  });
}

export function summaryOf(trace: Trace): Summary {
  const { start, end } = extentOf(trace);
  const known = new Set(trace.spans.map(({ spanID }) => spanID));
  const first = trace.spans.find((span) => !known.has(parentOf(span) ?? '')) ?? trace.spans[0];
  const about = ABOUT.flatMap((key) => trace.spans.map(({ tags }) => textOf(tags, key))).find(Boolean);
  const peers = trace.spans.map(({ tags }) => textOf(tags, 'dragonfly.peer.id')).filter((id) => id !== undefined);
  return {
    id: trace.traceID,
    subject: about ?? first?.operationName ?? trace.traceID,
    start,
    duration: end - start,
    spans: trace.spans.length,
    failed: trace.spans.filter(hasFailed).length,
    hosts: [...new Set(peers.map(hostOf))],
    bytes: bytesOf(trace),
  };
}
