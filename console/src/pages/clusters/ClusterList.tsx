import { Badge, Group } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { clusterList, type Cluster } from '@/api/clusters';
import { schedulerList, seedPeerList, type MemberState } from '@/api/members';
import { ALL, type Page } from '@/api/page';
import { useMay } from '@/app/session';
import { DataTable, type Column } from '@/components/DataTable';
import { Filters, TextFilter } from '@/components/Filters';
import { LinkButton } from '@/components/LinkButton';
import { PageHeader } from '@/components/PageHeader';
import { TextLink } from '@/components/TextLink';
import { useListState } from '@/components/useListState';
import { ScopesInShort } from './ScopesInShort';

export function Component() {
  const { t } = useTranslation();
  const mayAdd = useMay('change', 'clusters');
  const { pageQuery, filter, setPage, setFilter } = useListState(['name']);
  const clusters = useQuery(clusterList({ ...pageQuery, ...filter }));
  const columns = useColumns();
  const add = mayAdd && (
    <LinkButton to="/clusters/new" leftSection={<IconPlus size={16} aria-hidden />}>
      {t('clusters.add')}
    </LinkButton>
  );
  return (
    <>
      <PageHeader title={t('clusters.title')} text={t('clusters.text')} actions={add} />
      <Filters>
        <TextFilter label={t('clusters.search')} value={filter.name} onChange={(name) => setFilter('name', name)} />
      </Filters>
      <DataTable
        label={t('clusters.title')}
        query={clusters}
        columns={columns}
        rowKey={(row) => row.id}
        page={pageQuery.page}
        onPage={setPage}
        empty={filter.name ? t('common.emptyFiltered') : t('clusters.empty')}
      />
    </>
  );
}

function useColumns(): Column<Cluster>[] {
  const { t } = useTranslation();
  const schedulers = useQuery({ ...schedulerList(ALL), enabled: useMay('read', 'schedulers') });
  const seedPeers = useQuery({ ...seedPeerList(ALL), enabled: useMay('read', 'seed-peers') });
  const alive = <T extends { state: MemberState }>(page: Page<T> | undefined, ours: (member: T) => boolean) => {
    const members = page?.rows.filter(ours) ?? [];
    const active = members.filter(({ state }) => state === 'active').length;
    return `${active} / ${members.length}`;
  };
  return [
    {
      title: t('common.name'),
      cell: (row) => (
        <Group gap="xs" wrap="nowrap">
          <TextLink to={`/clusters/${row.id}`} fw={600}>
            {row.name}
          </TextLink>
          {row.is_default && <Badge variant="default">{t('clusters.default')}</Badge>}
        </Group>
      ),
    },
    { title: t('clusters.id'), numeric: true, cell: (row) => row.id },
    { title: t('clusters.scopes'), cell: (row) => <ScopesInShort scopes={row.scopes} /> },
    {
      title: t('clusters.schedulers'),
      numeric: true,
      cell: (row) => alive(schedulers.data, (member) => member.scheduler_cluster_id === row.scheduler_cluster_id),
    },
    {
      title: t('clusters.seedPeers'),
      numeric: true,
      cell: (row) => alive(seedPeers.data, (member) => member.seed_peer_cluster_id === row.seed_peer_cluster_id),
    },
  ];
}
