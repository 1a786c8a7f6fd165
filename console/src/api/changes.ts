import type { QueryClient } from '@tanstack/react-query';
import { KEPT } from './kept';
import { told } from './live';
import { SESSION } from './session';
import { TRACES } from './traces';

/** Changes that come shortly after each other are read at once. */
const SETTLE = 250;
/** After how long a stream that was refused is opened again. */
const AGAIN = 5000;

/** What was read of a kind is known by its name, with these exceptions. */
const KEYS: Record<string, string[]> = {
  'persistent-tasks': [KEPT],
  'persistent-cache-tasks': [KEPT],
  // What one may do follows from them.
  users: ['users', SESSION],
  roles: ['roles', SESSION],
};

/** All but traces, whose search may read much. */
const ALL = { predicate: ({ queryKey: [kind] }: { queryKey: readonly unknown[] }) => kind !== TRACES };

function keysOf(kinds: string[]): string[] {
  return [...new Set(kinds.flatMap((kind) => KEYS[kind] ?? [kind]))];
}

/** Hears of changes and has what has changed read again, as long as the page can be seen; returns what ends that. */
export function followChanges(queries: QueryClient): () => void {
  let source: EventSource | undefined;
  let again: number | undefined;
  let settling: number | undefined;
  const kinds = new Set<string>();

  const readAgain = () => {
    settling = undefined;
    const keys = keysOf([...kinds]);
    kinds.clear();
    keys.forEach((key) => void queries.invalidateQueries({ queryKey: [key] }));
  };
  const changed = ({ data }: MessageEvent<string>) => {
    const event = JSON.parse(data) as { kinds: string[] };
    event.kinds.forEach((kind) => kinds.add(kind));
    settling ??= window.setTimeout(readAgain, SETTLE);
  };
  const close = () => {
    window.clearTimeout(again);
    source?.close();
    source = undefined;
    told.set(false);
  };
  const open = () => {
    close();
    source = new EventSource('/api/v1/events');
    source.addEventListener('open', () => {
      told.set(true);
      // Nobody has told of what changed before.
      void queries.invalidateQueries(ALL);
    });
    source.addEventListener('changed', changed);
    source.addEventListener('error', () => {
      told.set(false);
      // The session may have ended; else lists begin to be looked at again.
      void queries.invalidateQueries(ALL);
      if (source?.readyState === EventSource.CLOSED) {
        again = window.setTimeout(open, AGAIN);
      }
    });
  };
  const seen = () => (document.hidden ? close() : open());

  document.addEventListener('visibilitychange', seen);
  seen();
  return () => {
    document.removeEventListener('visibilitychange', seen);
    window.clearTimeout(settling);
    close();
  };
}
