import { AppShell, NavLink, ScrollArea, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { NavLink as RouterLink, useLocation } from 'react-router';
import { NAVIGATION } from './navigation';
import { may, useSession } from './session';

/** The pages that whoever is signed in may look at. */
export function Sidebar({ onNavigate }: { onNavigate: () => void }) {
  const { t } = useTranslation();
  const session = useSession();
  const { pathname } = useLocation();
  const groups = NAVIGATION.map(({ name, entries }) => ({
    name,
    entries: entries.filter(({ object }) => !object || may(session, 'read', object)),
  })).filter(({ entries }) => entries.length > 0);
  return (
    <AppShell.Section grow component={ScrollArea}>
      {groups.map(({ name, entries }) => (
        <Stack key={name} gap={2} mb="md">
          <Text size="xs" fw={600} c="dimmed" px="sm" pb={4}>
            {t(`nav.${name}`)}
          </Text>
          {entries.map((entry) => (
            <NavLink
              key={entry.path}
              component={RouterLink}
              to={entry.path}
              label={t(`nav.${entry.name}`)}
              leftSection={<entry.icon size={18} stroke={1.6} aria-hidden />}
              active={pathname === entry.path || pathname.startsWith(`${entry.path}/`)}
              color="gray"
              variant="light"
              onClick={onNavigate}
            />
          ))}
        </Stack>
      ))}
    </AppShell.Section>
  );
}
