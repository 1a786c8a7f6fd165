import type { Span, Trace } from '@/api/traces';
import { hasFailed, parentOf, piecesOf, type Piece } from './story';

/** A line of the waterfall: a span, or a piece of which a span tells. */
export type Line = {
  key: string;
  depth: number;
  start: number;
  duration: number;
  /** How many lines stand below it, one step deeper. */
  below: number;
  hasFailed: boolean;
  /** Which it is of those beside it, from 1, and how many those are. */
  place: [number, number];
} & ({ kind: 'span'; span: Span } | { kind: 'piece'; span: Span; piece: Piece });

/** Deeper ones stand no further to the right. */
const MAX_DEPTH = 12;

/** What is still to be told: a line of its own, or a span with all that is below it. */
type Open = { line: Line } | { span: Span; depth: number; place: Line['place']; isHidden: boolean };

/** Every span below its parent, with the pieces of a download among what else it did, by start. Lines below a folded one are left out. */
export function linesOf({ spans }: Trace, folded: ReadonlySet<string>): Line[] {
  const children = byParent(spans);
  const lines: Line[] = [];
  const seen = new Set<string>();
  // Not by recursion: how deep spans are within each other is up to whoever sends them.
  const open: Open[] = [];
  const tell = (next: Open) => {
    if ('line' in next) {
      lines.push(next.line);
      return;
    }
    const { span, depth, place, isHidden } = next;
    if (seen.has(span.spanID)) {
      return;
    }
    seen.add(span.spanID);
    const isHiddenBelow = isHidden || folded.has(span.spanID);
    const below = belowOf(span, children.get(span.spanID) ?? [], Math.min(depth + 1, MAX_DEPTH));
    if (!isHidden) {
      lines.push(spanLine(span, { depth, place, below: below.length }));
    }
    // The first of them is to be the next.
    for (const [index, one] of [...below.entries()].reverse()) {
      const placed: Line['place'] = [index + 1, below.length];
      if ('span' in one) {
        open.push({ ...one, place: placed, isHidden: isHiddenBelow });
      } else if (!isHiddenBelow) {
        open.push({ line: { ...one.line, place: placed } });
      }
    }
  };
  // Spans that are each other's parents are below nobody, so all are gone through in the end.
  const roots = children.get(undefined) ?? [];
  for (const [index, span] of [...roots, ...spans].entries()) {
    const place: Line['place'] = [Math.min(index + 1, roots.length), roots.length];
    open.push({ span, depth: 0, place, isHidden: false });
    for (let next = open.pop(); next; next = open.pop()) {
      tell(next);
    }
  }
  return lines;
}

/** Spans by the span that they ran within; by nothing if that is not there. Each list by start. */
function byParent(spans: Span[]): Map<string | undefined, Span[]> {
  const known = new Set(spans.map(({ spanID }) => spanID));
  const children = new Map<string | undefined, Span[]>();
  for (const span of [...spans].sort((one, other) => one.startTime - other.startTime)) {
    const named = parentOf(span);
    const parent = named !== undefined && known.has(named) ? named : undefined;
    const siblings = children.get(parent) ?? [];
    siblings.push(span);
    children.set(parent, siblings);
  }
  return children;
}

type Below = { start: number } & ({ line: Line } | { span: Span; depth: number });

function belowOf(span: Span, own: Span[], depth: number): Below[] {
  const pieces = piecesOf(span).map((piece, index) => ({
    start: piece.start,
    line: pieceLine(span, piece, index, depth),
  }));
  const spans = own.map((child) => ({ start: child.startTime, span: child, depth }));
  return [...spans, ...pieces].sort((one, other) => one.start - other.start);
}

function spanLine(span: Span, where: Pick<Line, 'depth' | 'place' | 'below'>): Line {
  const { spanID: key, startTime: start, duration } = span;
  return { kind: 'span', key, span, start, duration, hasFailed: hasFailed(span), ...where };
}

function pieceLine(span: Span, piece: Piece, index: number, depth: number): Line {
  const { start, duration } = piece;
  const key = `${span.spanID} ${index}`;
  return { kind: 'piece', key, span, piece, depth, start, duration, place: [1, 1], below: 0, hasFailed: false };
}
