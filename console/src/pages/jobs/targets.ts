import type { TargetState } from '@/api/jobs';
import type { Schemas } from '@/api/client';

/** In the order in which a target goes through them, and their colours. */
export const TARGET_STATES: { state: TargetState; color: string }[] = [
  { state: 'done', color: 'teal.6' },
  { state: 'running', color: 'blue.5' },
  { state: 'waiting', color: 'gray.5' },
  { state: 'failed', color: 'red.6' },
  { state: 'cancelled', color: 'gray.7' },
];

export function total(counts: Schemas['TargetCounts']): number {
  return TARGET_STATES.reduce((sum, { state }) => sum + (counts[state] ?? 0), 0);
}
