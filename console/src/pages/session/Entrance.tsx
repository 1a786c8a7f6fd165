import { Center, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import type { ReactNode } from 'react';
import { Brand } from '@/app/Brand';
import { LanguageMenu, ThemeSwitch } from '@/app/Preferences';
import classes from './Entrance.module.css';

/** The pages before the others: one card in the middle. */
export function Entrance({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  useDocumentTitle(`${title} · Dragonfly`);
  return (
    <Center component="main" mih="100vh" p="md" className={classes.page}>
      <Stack w="100%" maw={400}>
        <Group justify="space-between">
          <Brand />
          <Group gap={4}>
            <LanguageMenu />
            <ThemeSwitch />
          </Group>
        </Group>
        <Paper withBorder p="lg">
          <Title order={1} size="h3">
            {title}
          </Title>
          <Text c="dimmed" mb="md">
            {text}
          </Text>
          {children}
        </Paper>
      </Stack>
    </Center>
  );
}
