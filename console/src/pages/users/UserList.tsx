import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { userList } from '@/api/access';
import { useMay } from '@/app/session';
import { DataTable } from '@/components/DataTable';
import { ChoiceFilter, Filters, TextFilter } from '@/components/Filters';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';
import { useListState } from '@/components/useListState';
import { AddUser } from './AddUser';

const STATES = ['enable', 'disable'] as const;

export function Component() {
  const { t } = useTranslation();
  const mayAdd = useMay('change', 'users');
  const [adding, setAdding] = useState(false);
  const { pageQuery, filter, setPage, setFilter } = useListState(['name', 'state']);
  const state = STATES.find((one) => one === filter.state);
  const query = useQuery(userList({ ...pageQuery, name: filter.name, state }));
  return (
    <>
      <PageHeader
        title={t('users.title')}
        text={t('users.text')}
        actions={
          mayAdd && (
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAdding(true)}>
              {t('users.add')}
            </Button>
          )
        }
      />
      <Filters>
        <TextFilter label={t('clusters.search')} value={filter.name} onChange={(value) => setFilter('name', value)} />
        <ChoiceFilter
          label={t('common.state')}
          value={state}
          options={STATES.map((value) => ({ value, label: t(`state.${value}`) }))}
          onChange={(value) => setFilter('state', value)}
        />
      </Filters>
      <DataTable
        label={t('users.title')}
        query={query}
        page={pageQuery.page}
        onPage={setPage}
        rowKey={(row) => row.id}
        empty={Object.keys(filter).length > 0 ? t('common.emptyFiltered') : t('users.empty')}
        columns={[
          {
            title: t('common.name'),
            cell: (row) => (
              <TextLink to={`/users/${row.id}`} fw={600}>
                {row.name}
              </TextLink>
            ),
          },
          { title: t('users.email'), cell: (row) => row.email },
          { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
          { title: t('common.created'), cell: (row) => <Moment at={row.created_at} /> },
        ]}
      />
      {adding && <AddUser onClose={() => setAdding(false)} />}
    </>
  );
}
