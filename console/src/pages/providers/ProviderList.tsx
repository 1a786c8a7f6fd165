import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { deleteProvider, providerList, PROVIDERS, type Provider } from '@/api/providers';
import { useMay } from '@/app/session';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { PageHeader } from '@/components/PageHeader';
import { RowActions } from '@/components/RowActions';
import { useEditing } from '@/components/useEditing';
import { useListState } from '@/components/useListState';
import { ProviderDialog } from './ProviderDialog';

/** Who may vouch for people here. Only who may do everything looks at it or changes it. */
export function Component() {
  const { t } = useTranslation();
  const mayChange = useMay('change', '*');
  const { editing, add, edit, remove, close } = useEditing<Provider>();
  const { pageQuery, setPage } = useListState([]);
  const query = useQuery(providerList(pageQuery));
  const columns: Column<Provider>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('providers.issuer'), cell: (row) => <span className="breaks">{row.issuer}</span> },
    { title: t('providers.domains'), cell: (row) => row.domains.join(', ') || t('providers.nobody') },
    { title: t('common.description'), cell: (row) => row.bio },
  ];
  const actions: Column<Provider> = {
    title: t('common.actions'),
    cell: (row) => <RowActions name={row.name} onEdit={() => edit(row)} onDelete={() => remove(row)} />,
  };
  return (
    <>
      <PageHeader
        title={t('providers.title')}
        text={t('providers.text')}
        actions={
          mayChange && (
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
              {t('providers.add')}
            </Button>
          )
        }
      />
      <DataTable
        label={t('providers.title')}
        query={query}
        columns={mayChange ? [...columns, actions] : columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={t('providers.empty')}
      />
      {editing?.what === 'add' && <ProviderDialog provider={null} onClose={close} />}
      {editing?.what === 'edit' && <ProviderDialog provider={editing.row} onClose={close} />}
      {editing?.what === 'delete' && (
        <DeleteDialog
          name={editing.row.name}
          text={t('providers.deleteText')}
          kind={PROVIDERS}
          remove={() => deleteProvider(editing.row.id)}
          onClose={close}
        />
      )}
    </>
  );
}
