import { Badge, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { USERS, endSession, userSessions } from '@/api/access';
import { SESSION } from '@/api/session';
import { Rows } from '@/components/DataTable';
import { Loaded } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { Panel } from '@/components/Panel';
import { useAction } from '@/forms/useAction';

/** The open sessions of a user, each of which can be ended. */
export function SessionsPanel({ userId }: { userId: number }) {
  const { t } = useTranslation();
  const sessions = useQuery(userSessions(userId));
  const end = useAction({
    run: (id: string) => endSession(userId, id),
    changes: [USERS, SESSION],
    done: t('profile.ended'),
  });
  return (
    <Panel title={t('profile.sessions')} text={t('profile.sessionsText')}>
      <Loaded query={sessions}>
        {(rows) => (
          <Rows
            label={t('profile.sessions')}
            rows={rows}
            rowKey={(row) => row.id}
            columns={[
              { title: t('profile.address'), cell: (row) => row.address },
              { title: t('profile.opened'), cell: (row) => <Moment at={row.created_at} /> },
              { title: t('profile.expires'), cell: (row) => <Moment at={row.expire} /> },
              {
                title: t('common.actions'),
                cell: (row) =>
                  row.current ? (
                    <Badge variant="default">{t('profile.current')}</Badge>
                  ) : (
                    <Button size="xs" variant="default" onClick={() => end.mutate(row.id)}>
                      {t('profile.end')}
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
    </Panel>
  );
}
