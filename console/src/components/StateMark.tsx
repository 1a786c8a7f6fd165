import { Group, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { en } from '@/i18n/en';
import classes from './StateMark.module.css';

export type State = keyof typeof en.state;

/** What is good, moves, or needs somebody's eye. */
const TONES: Record<State, 'good' | 'moving' | 'bad' | 'quiet'> = {
  active: 'good',
  inactive: 'bad',
  enable: 'good',
  disable: 'quiet',
  PENDING: 'moving',
  RECEIVED: 'moving',
  STARTED: 'moving',
  RETRY: 'quiet',
  SUCCESS: 'good',
  FAILURE: 'bad',
  waiting: 'quiet',
  running: 'moving',
  done: 'good',
  failed: 'bad',
  cancelled: 'quiet',
};

/** A state in a word; its colour says nothing that the word does not. */
export function StateMark({ state }: { state: State }) {
  const { t } = useTranslation();
  return (
    <Group component="span" display="inline-flex" gap={6} wrap="nowrap">
      <span className={classes.dot} data-tone={TONES[state]} aria-hidden />
      <Text component="span" size="sm">
        {t(`state.${state}`)}
      </Text>
    </Group>
  );
}
