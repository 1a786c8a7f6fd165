import { Button, Code, Modal, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { auditList, type Audit } from '@/api/records';
import { DataTable, type Column } from '@/components/DataTable';
import { Facts } from '@/components/Facts';
import { ChoiceFilter, Filters, TextFilter } from '@/components/Filters';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { StateMark } from '@/components/StateMark';
import { useListState } from '@/components/useListState';

const OPERATIONS = ['POST', 'PUT', 'PATCH', 'DELETE'] as const;
const STATES = ['SUCCESS', 'FAILURE'] as const;

export function Component() {
  const { t } = useTranslation();
  const [shown, setShown] = useState<Audit | null>(null);
  const { pageQuery, filter, setPage, setFilter } = useListState(['actor', 'object', 'operation', 'state']);
  const operation = OPERATIONS.find((one) => one === filter.operation);
  const state = STATES.find((one) => one === filter.state);
  const query = useQuery(
    auditList({ ...pageQuery, actor_name: filter.actor, object: filter.object, operation, state }),
  );
  const columns: Column<Audit>[] = [
    { title: t('audits.when'), cell: (row) => <Moment at={row.operated_at} /> },
    { title: t('audits.actor'), cell: (row) => row.actor_name },
    { title: t('audits.address'), cell: (row) => row.address },
    {
      title: t('audits.operation'),
      cell: (row) => (
        <Code className="breaks">
          {row.operation} {row.path}
        </Code>
      ),
    },
    { title: t('audits.result'), cell: (row) => <StateMark state={row.state} /> },
    {
      title: t('common.actions'),
      cell: (row) => (
        <Button size="xs" variant="default" aria-label={t('audits.show', { id: row.id })} onClick={() => setShown(row)}>
          {row.status_code || t('audits.cutOff')}
        </Button>
      ),
    },
  ];
  return (
    <>
      <PageHeader title={t('audits.title')} text={t('audits.text')} />
      <Filters>
        <TextFilter label={t('audits.actor')} value={filter.actor} onChange={(value) => setFilter('actor', value)} />
        <TextFilter label={t('audits.object')} value={filter.object} onChange={(value) => setFilter('object', value)} />
        <ChoiceFilter
          label={t('audits.operation')}
          value={operation}
          options={OPERATIONS.map((value) => ({ value, label: value }))}
          onChange={(value) => setFilter('operation', value)}
        />
        <ChoiceFilter
          label={t('audits.result')}
          value={state}
          options={STATES.map((value) => ({ value, label: t(`state.${value}`) }))}
          onChange={(value) => setFilter('state', value)}
        />
      </Filters>
      <DataTable
        label={t('audits.title')}
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={Object.keys(filter).length > 0 ? t('common.emptyFiltered') : t('audits.empty')}
      />
      {shown && <Detail audit={shown} onClose={() => setShown(null)} />}
    </>
  );
}

function Detail({ audit, onClose }: { audit: Audit; onClose: () => void }) {
  const { t, i18n } = useTranslation();
  return (
    <Modal opened onClose={onClose} size="lg" title={`${audit.operation} ${audit.path}`}>
      <Stack>
        <Facts
          of={[
            [t('audits.when'), new Date(audit.operated_at).toLocaleString(i18n.language)],
            [t('audits.actor'), audit.actor_name],
            [t('audits.address'), audit.address],
            [t('audits.object'), [audit.object, audit.object_id].filter(Boolean).join(' ')],
            [t('audits.result'), audit.status_code || t('audits.cutOff')],
          ]}
        />
        <Code block tabIndex={0} aria-label={t('audits.detail')}>
          {JSON.stringify(audit.detail, null, 2)}
        </Code>
      </Stack>
    </Modal>
  );
}
