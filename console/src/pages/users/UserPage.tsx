import { Button, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { USERS, deleteUser, updateUser, user, type User } from '@/api/access';
import { useMay, useSession } from '@/app/session';
import { useId } from '@/app/useId';
import { Confirm } from '@/components/Confirm';
import { Facts } from '@/components/Facts';
import { Loaded } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { useAction } from '@/forms/useAction';
import { RolesPanel } from './RolesPanel';
import { SessionsPanel } from './SessionsPanel';

export function Component() {
  const query = useQuery(user(useId()));
  return <Loaded query={query}>{(found) => <Shown user={found} />}</Loaded>;
}

function Shown({ user: shown }: { user: User }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'users');
  const isOneself = useSession().user_id === shown.id;
  return (
    <>
      <PageHeader
        title={shown.name}
        text={shown.bio}
        mark={<StateMark state={shown.state} />}
        actions={mayChange && !isOneself && <UserActions user={shown} />}
      />
      <Stack>
        <Panel title={t('clusters.about')}>
          <Facts
            of={[
              [t('users.email'), shown.email],
              [t('profile.phone'), shown.phone],
              [t('profile.location'), shown.location],
              [t('common.created'), <Moment key="created" at={shown.created_at} />],
            ]}
          />
        </Panel>
        <RolesPanel userId={shown.id} />
        <SessionsPanel userId={shown.id} />
      </Stack>
    </>
  );
}

function UserActions({ user: { id, name, state } }: { user: User }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [asking, setAsking] = useState<'disable' | 'delete' | null>(null);
  const turn = useAction({
    run: () => updateUser(id, { state: state === 'enable' ? 'disable' : 'enable' }),
    changes: [USERS],
    done: t('common.saved'),
  });
  const remove = useAction({
    run: () => deleteUser(id),
    changes: [USERS],
    done: t('common.deleted'),
    onDone: () => void navigate('/users'),
    showsFailure: true,
  });
  const close = () => setAsking(null);
  return (
    <>
      {state === 'enable' ? (
        <Button variant="default" onClick={() => setAsking('disable')}>
          {t('users.disable')}
        </Button>
      ) : (
        <Button variant="default" loading={turn.isPending} onClick={() => turn.mutate()}>
          {t('users.enable')}
        </Button>
      )}
      <Button variant="default" onClick={() => setAsking('delete')}>
        {t('common.delete')}
      </Button>
      {asking === 'disable' && (
        <Confirm
          title={`${t('users.disable')}: ${name}`}
          text={t('users.disableText')}
          label={t('users.disable')}
          action={turn}
          onClose={close}
        />
      )}
      {asking === 'delete' && (
        <Confirm
          title={t('common.confirmDelete', { name })}
          text={t('users.disableText')}
          label={t('common.delete')}
          action={remove}
          onClose={close}
        />
      )}
    </>
  );
}
