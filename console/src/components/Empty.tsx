import { Stack, Text } from '@mantine/core';
import { IconFeather } from '@tabler/icons-react';
import type { ReactNode } from 'react';

/** In place of what is not there, with what to do about it. */
export function Empty({ text, action }: { text: string; action?: ReactNode }) {
  return (
    <Stack align="center" gap="xs" py="xl">
      <IconFeather size={32} stroke={1.2} aria-hidden />
      <Text c="dimmed" ta="center" maw={420}>
        {text}
      </Text>
      {action}
    </Stack>
  );
}
