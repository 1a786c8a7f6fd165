import { Button, Group } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { TOKENS, deleteToken, tokenList, updateToken, type Token } from '@/api/access';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { StateMark } from '@/components/StateMark';
import { useListState } from '@/components/useListState';
import { useAction } from '@/forms/useAction';
import { AddToken } from './AddToken';

export function Component() {
  const { t } = useTranslation();
  const [adding, setAdding] = useState(false);
  const [revoked, setRevoked] = useState<Token | null>(null);
  const { pageQuery, setPage } = useListState([]);
  const query = useQuery(tokenList(pageQuery));
  const columns: Column<Token>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('tokens.owner'), numeric: true, cell: (row) => row.user_id },
    { title: t('tokens.scopes'), cell: (row) => row.scopes.join(', ') },
    { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
    { title: t('tokens.expires'), cell: (row) => <Moment at={row.expired_at} /> },
    { title: t('common.actions'), cell: (row) => <TokenActions token={row} onRevoke={() => setRevoked(row)} /> },
  ];
  return (
    <>
      <PageHeader
        title={t('tokens.title')}
        text={t('tokens.text')}
        actions={
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAdding(true)}>
            {t('tokens.add')}
          </Button>
        }
      />
      <DataTable
        label={t('tokens.title')}
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={t('tokens.empty')}
      />
      {adding && <AddToken onClose={() => setAdding(false)} />}
      {revoked && (
        <DeleteDialog
          name={revoked.name}
          text={t('tokens.revokeText')}
          kind={TOKENS}
          remove={() => deleteToken(revoked.id)}
          onClose={() => setRevoked(null)}
        />
      )}
    </>
  );
}

function TokenActions({ token: { id, name, state }, onRevoke }: { token: Token; onRevoke: () => void }) {
  const { t } = useTranslation();
  const isActive = state === 'active';
  const turn = useAction({
    run: () => updateToken(id, { state: isActive ? 'inactive' : 'active' }),
    changes: [TOKENS],
  });
  const label = isActive ? t('tokens.deactivate') : t('tokens.activate');
  return (
    <Group gap="xs" wrap="nowrap">
      <Button
        size="xs"
        variant="default"
        aria-label={`${label}: ${name}`}
        loading={turn.isPending}
        onClick={() => turn.mutate()}
      >
        {label}
      </Button>
      <Button size="xs" variant="default" aria-label={`${t('common.delete')}: ${name}`} onClick={onRevoke}>
        {t('common.delete')}
      </Button>
    </Group>
  );
}
