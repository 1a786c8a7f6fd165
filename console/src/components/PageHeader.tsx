import { Box, Group, Text, Title } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

interface Props {
  title: string;
  text?: string | undefined;
  /** Beside the title. */
  mark?: ReactNode;
  actions?: ReactNode;
}

/** What a page is, and what can be done there. */
export function PageHeader({ title, text, mark, actions }: Props) {
  const { t } = useTranslation();
  useDocumentTitle(`${title} · ${t('app.name')}`);
  return (
    <Group justify="space-between" align="flex-start" mb="lg" wrap="wrap">
      <Box maw={720}>
        <Group gap="sm">
          <Title order={1} size="h2">
            {title}
          </Title>
          {mark}
        </Group>
        {text && (
          <Text c="dimmed" className="breaks">
            {text}
          </Text>
        )}
      </Box>
      {actions && <Group gap="xs">{actions}</Group>}
    </Group>
  );
}
