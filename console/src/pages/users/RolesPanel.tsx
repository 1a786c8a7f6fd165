import { Button, Group, Pill, Select, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { USERS, grantRole, revokeRole, roleList, userRoles } from '@/api/access';
import { SESSION } from '@/api/session';
import { useMay } from '@/app/session';
import { Loaded } from '@/components/Loaded';
import { Panel } from '@/components/Panel';
import { useAction } from '@/forms/useAction';

/** The roles of a user, given and taken at once. */
export function RolesPanel({ userId }: { userId: number }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'users');
  const roles = useQuery(userRoles(userId));
  const revoke = useAction({ run: (name: string) => revokeRole(userId, name), changes: [USERS, SESSION] });
  return (
    <Panel title={t('users.roles')} text={t('users.rolesText')}>
      <Loaded query={roles}>
        {(names) => (
          <>
            <Group gap="xs">
              {names.length === 0 && <Text c="dimmed">{t('common.none')}</Text>}
              {names.map((name) => (
                <Pill
                  key={name}
                  size="lg"
                  withRemoveButton={mayChange}
                  onRemove={() => revoke.mutate(name)}
                  removeButtonProps={{
                    'aria-label': t('users.revoke', { role: name }),
                    'aria-hidden': false,
                    tabIndex: 0,
                  }}
                >
                  {name}
                </Pill>
              ))}
            </Group>
            {mayChange && <Grant userId={userId} has={names} />}
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Grant({ userId, has }: { userId: number; has: string[] }) {
  const { t } = useTranslation();
  const roles = useQuery({ ...roleList, enabled: useMay('read', 'roles') });
  const [chosen, setChosen] = useState<string | null>(null);
  const grant = useAction({
    run: (name: string) => grantRole(userId, name),
    changes: [USERS, SESSION],
    onDone: () => setChosen(null),
  });
  return (
    <Group align="flex-end">
      <Select
        label={t('users.role')}
        data={(roles.data ?? []).filter((name) => !has.includes(name))}
        value={chosen}
        onChange={setChosen}
      />
      <Button
        variant="default"
        disabled={!chosen}
        loading={grant.isPending}
        onClick={() => {
          if (chosen) {
            grant.mutate(chosen);
          }
        }}
      >
        {t('users.grant')}
      </Button>
    </Group>
  );
}
