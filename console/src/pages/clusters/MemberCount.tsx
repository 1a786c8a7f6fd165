import { Group, Paper, RingProgress, Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Page } from '@/api/page';
import { percent } from '@/components/format';

interface Props {
  name: string;
  all: UseQueryResult<Page<unknown>>;
  active: UseQueryResult<Page<unknown>>;
}

/** How many members of a kind there are, and how many of them are alive. */
export function MemberCount({ name, all, active }: Props) {
  const { t } = useTranslation();
  const total = all.data?.total;
  const alive = active.data?.total;
  const known = total !== undefined && alive !== undefined;
  return (
    <Paper withBorder p="md">
      <Group wrap="nowrap" gap="sm">
        <RingProgress
          size={52}
          thickness={6}
          roundCaps
          aria-hidden
          sections={known ? [{ value: percent(alive, total), color: alive < total ? 'yellow.6' : 'teal.6' }] : []}
        />
        <Stack gap={0}>
          <Text size="sm" c="dimmed">
            {name}
          </Text>
          <Text fw={600}>{known ? t('clusters.ofActive', { active: alive, total }) : '…'}</Text>
        </Stack>
      </Group>
    </Paper>
  );
}
