import { Button, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { APPLICATIONS, applicationList, deleteApplication, type Application } from '@/api/records';
import { useMay } from '@/app/session';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { Filters, TextFilter } from '@/components/Filters';
import { PageHeader } from '@/components/PageHeader';
import { RowActions } from '@/components/RowActions';
import { useEditing } from '@/components/useEditing';
import { useListState } from '@/components/useListState';
import { ApplicationDialog } from './ApplicationDialog';

export function Component() {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'applications');
  const { editing, add, edit, remove, close } = useEditing<Application>();
  const { pageQuery, filter, setPage, setFilter } = useListState(['name']);
  const query = useQuery(applicationList({ ...pageQuery, ...filter }));
  const columns: Column<Application>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('applications.url'), cell: (row) => <Text className="breaks">{row.url}</Text> },
    { title: t('applications.priority'), numeric: true, cell: (row) => row.priority?.value ?? t('common.none') },
    { title: t('applications.patterns'), numeric: true, cell: (row) => row.priority?.urls?.length ?? 0 },
  ];
  const actions: Column<Application> = {
    title: t('common.actions'),
    cell: (row) => <RowActions name={row.name} onEdit={() => edit(row)} onDelete={() => remove(row)} />,
  };
  return (
    <>
      <PageHeader
        title={t('applications.title')}
        text={t('applications.text')}
        actions={
          mayChange && (
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
              {t('applications.add')}
            </Button>
          )
        }
      />
      <Filters>
        <TextFilter label={t('clusters.search')} value={filter.name} onChange={(value) => setFilter('name', value)} />
      </Filters>
      <DataTable
        label={t('applications.title')}
        query={query}
        columns={mayChange ? [...columns, actions] : columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={filter.name ? t('common.emptyFiltered') : t('applications.empty')}
      />
      {editing?.what === 'add' && <ApplicationDialog application={null} onClose={close} />}
      {editing?.what === 'edit' && <ApplicationDialog application={editing.row} onClose={close} />}
      {editing?.what === 'delete' && (
        <DeleteDialog
          name={editing.row.name}
          kind={APPLICATIONS}
          remove={() => deleteApplication(editing.row.id)}
          onClose={close}
        />
      )}
    </>
  );
}
