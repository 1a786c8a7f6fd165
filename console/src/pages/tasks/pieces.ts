import type { Schemas } from '@/api/client';

export type Pieces = Schemas['TaskPieces'];

/** Neighbouring stretches of a content that are alike. */
export interface Run {
  from: number;
  length: number;
  /** From 0, nothing, to 1. */
  share: number;
}

/** How full each stretch is. Its size is as the API cuts a content: as equally as whole pieces allow. */
export function shares({ total, held }: Pieces): number[] {
  const begin = (at: number) => Math.floor((at * total) / held.length);
  return held.map((pieces, at) => pieces / (begin(at + 1) - begin(at)));
}

export function runs(shares: number[]): Run[] {
  const found: Run[] = [];
  shares.forEach((share, from) => {
    const last = found.at(-1);
    if (last?.share === share) {
      last.length += 1;
    } else {
      found.push({ from, length: 1, share });
    }
  });
  return found;
}

export function held(pieces: Pieces): number {
  return pieces.held.reduce((sum, number) => sum + number, 0);
}

/** On how many hosts each stretch is whole; nothing where hosts tell of contents that are cut differently. */
export function copies(all: Pieces[]): number[] | undefined {
  const [first] = all;
  if (!first || first.held.length === 0 || all.some(({ total }) => total !== first.total)) {
    return undefined;
  }
  const whole = all.map((pieces) => shares(pieces).map((share) => (share === 1 ? 1 : 0)));
  return first.held.map((_, at) => whole.reduce((sum, host) => sum + (host[at] ?? 0), 0));
}
