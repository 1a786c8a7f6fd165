import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { allClusters } from '@/api/clusters';
import { deleteKept, KEEPINGS, KEPT, keptList, type KeptTask } from '@/api/kept';
import { useMay } from '@/app/session';
import { Copyable } from '@/components/Copyable';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { ChoiceFilter, Filters } from '@/components/Filters';
import { bytes } from '@/components/format';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { RowActions } from '@/components/RowActions';
import { useEditing } from '@/components/useEditing';
import { useListState } from '@/components/useListState';

/** What clusters keep with replicas: of one cluster and by one policy at a time, as the API has it. */
export function Component() {
  const { t } = useTranslation();
  const { pageQuery, filter, setPage, setFilter } = useListState(['cluster', 'keeping']);
  const clusters = useQuery(allClusters).data?.rows ?? [];
  const cluster = Number(filter.cluster ?? clusters[0]?.id ?? 1);
  const keeping = KEEPINGS.find((one) => one === filter.keeping) ?? 'persistent-cache-tasks';
  const query = useQuery(keptList(keeping, { ...pageQuery, scheduler_cluster_id: cluster }));
  const mayChange = useMay('change', keeping);
  const { editing, remove, close } = useEditing<KeptTask>();
  const columns: Column<KeptTask>[] = [
    { title: t('kept.task'), cell: (row) => <Copyable value={row.id} label={t('kept.task')} /> },
    { title: t('kept.application'), cell: (row) => [row.application, row.tag].filter(Boolean).join(' · ') },
    { title: t('kept.size'), numeric: true, cell: (row) => bytes(row.content_length) },
    { title: t('common.state'), cell: (row) => row.state },
    { title: t('kept.replicas'), cell: (row) => <Replicas task={row} /> },
    { title: t('kept.ends'), cell: (row) => <Moment at={ends(row)} /> },
  ];
  const actions: Column<KeptTask> = {
    title: t('common.actions'),
    cell: (row) => <RowActions name={row.id} onDelete={() => remove(row)} />,
  };
  return (
    <>
      <PageHeader title={t('kept.title')} text={t('kept.text')} />
      <Filters>
        <ChoiceFilter
          label={t('peers.cluster')}
          value={cluster.toString()}
          options={clusters.map(({ id, name }) => ({ value: id.toString(), label: name }))}
          onChange={(value) => setFilter('cluster', value)}
        />
        <ChoiceFilter
          label={t('kept.keeping')}
          value={keeping}
          options={KEEPINGS.map((value) => ({ value, label: t(`kept.${value}`) }))}
          onChange={(value) => setFilter('keeping', value)}
        />
      </Filters>
      <DataTable
        label={t('kept.title')}
        query={query}
        columns={mayChange ? [...columns, actions] : columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={t('kept.empty')}
      />
      {editing?.what === 'delete' && (
        <DeleteDialog
          name={editing.row.id}
          text={t('kept.deleteText')}
          kind={KEPT}
          remove={() => deleteKept(keeping, editing.row)}
          onClose={close}
        />
      )}
    </>
  );
}

/** How many keep it of how many that should, and where they are. */
function Replicas({ task }: { task: KeptTask }) {
  const { t } = useTranslation();
  const holders = task.peers.filter((peer) => peer.persistent).map((peer) => peer.host.hostname);
  const counts = { kept: task.current_persistent_replica_count, wanted: task.persistent_replica_count };
  return (
    <>
      <Text size="sm">{t('kept.ofWanted', counts)}</Text>
      <Text size="xs" c="dimmed" className="breaks">
        {holders.join(', ')}
      </Text>
    </>
  );
}

/** When its time is over, for which it counts in nanoseconds. */
function ends({ created_at, ttl }: KeptTask): string {
  return new Date(Date.parse(created_at) + ttl / 1e6).toISOString();
}
