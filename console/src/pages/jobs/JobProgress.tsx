import { Group, Progress, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { JobProgress as Numbers } from '@/api/jobs';
import { bytes, percent } from '@/components/format';
import { TARGET_STATES, total } from './targets';

/** How far a job is: its targets by state, its clusters, and the bytes that are there. */
export function JobProgress({ progress }: { progress: Numbers }) {
  const { t } = useTranslation();
  const { targets, works, works_ended, content_length, finished_length } = progress;
  const all = total(targets);
  return (
    <Stack gap="xs">
      <Progress.Root size="lg" aria-hidden>
        {TARGET_STATES.map(({ state, color }) => (
          <Progress.Section key={state} value={percent(targets[state] ?? 0, all)} color={color} />
        ))}
      </Progress.Root>
      <Group justify="space-between" role="status">
        <Text size="sm">{t('jobs.ofTargets', { done: targets.done ?? 0, total: all })}</Text>
        <Text size="sm">{t('jobs.ofClusters', { done: works_ended, total: works })}</Text>
        {content_length > 0 && (
          <Text size="sm">
            {bytes(finished_length)} / {bytes(content_length)}
          </Text>
        )}
      </Group>
    </Stack>
  );
}
