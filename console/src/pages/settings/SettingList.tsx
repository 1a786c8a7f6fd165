import { Button, Code, Stack } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { SETTINGS, deleteSetting, settingList, type Setting } from '@/api/records';
import { useMay } from '@/app/session';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { PageHeader } from '@/components/PageHeader';
import { RowActions } from '@/components/RowActions';
import { useEditing } from '@/components/useEditing';
import { useListState } from '@/components/useListState';
import { RetentionPanel } from './RetentionPanel';
import { SettingDialog } from './SettingDialog';

export function Component() {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'configs');
  const { editing, add, edit, remove, close } = useEditing<Setting>();
  const { pageQuery, setPage } = useListState([]);
  const query = useQuery(settingList(pageQuery));
  const columns: Column<Setting>[] = [
    { title: t('common.name'), cell: (row) => row.name },
    { title: t('settings.value'), cell: (row) => <Code className="breaks">{row.value}</Code> },
    { title: t('common.description'), cell: (row) => row.bio },
  ];
  const actions: Column<Setting> = {
    title: t('common.actions'),
    cell: (row) => <RowActions name={row.name} onEdit={() => edit(row)} onDelete={() => remove(row)} />,
  };
  return (
    <>
      <PageHeader
        title={t('settings.title')}
        text={t('settings.text')}
        actions={
          mayChange && (
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={add}>
              {t('settings.add')}
            </Button>
          )
        }
      />
      <Stack>
        <RetentionPanel />
        <DataTable
          label={t('settings.title')}
          query={query}
          columns={mayChange ? [...columns, actions] : columns}
          rowKey={(row) => row.id}
          page={pageQuery.page}
          onPage={setPage}
          empty={t('settings.empty')}
        />
      </Stack>
      {editing?.what === 'add' && <SettingDialog setting={null} onClose={close} />}
      {editing?.what === 'edit' && <SettingDialog setting={editing.row} onClose={close} />}
      {editing?.what === 'delete' && (
        <DeleteDialog
          name={editing.row.name}
          kind={SETTINGS}
          remove={() => deleteSetting(editing.row.id)}
          onClose={close}
        />
      )}
    </>
  );
}
