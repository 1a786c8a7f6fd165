import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { allClusters } from '@/api/clusters';
import { peerList, type MemberState } from '@/api/members';
import { ChoiceFilter, Filters, TextFilter } from '@/components/Filters';
import { PageHeader } from '@/components/PageHeader';
import { TextLink } from '@/components/TextLink';
import { useListState } from '@/components/useListState';
import { PeerTable } from '../members/PeerTable';

const STATES: MemberState[] = ['active', 'inactive'];

export function Component() {
  const { t } = useTranslation();
  const { pageQuery, filter, setPage, setFilter } = useListState(['cluster', 'host_name', 'ip', 'idc', 'state']);
  const clusters = useQuery(allClusters).data?.rows ?? [];
  const state = STATES.find((one) => one === filter.state);
  const query = useQuery(
    peerList({
      ...pageQuery,
      scheduler_cluster_id: filter.cluster ? Number(filter.cluster) : undefined,
      host_name: filter.host_name,
      ip: filter.ip,
      idc: filter.idc,
      state,
    }),
  );
  return (
    <>
      <PageHeader title={t('peers.title')} text={t('peers.text')} />
      <Filters>
        <ChoiceFilter
          label={t('peers.cluster')}
          value={filter.cluster}
          options={clusters.map(({ id, name }) => ({ value: id.toString(), label: name }))}
          onChange={(value) => setFilter('cluster', value)}
        />
        <TextFilter
          label={t('peers.hostName')}
          value={filter.host_name}
          onChange={(value) => setFilter('host_name', value)}
        />
        <TextFilter label={t('peers.ip')} value={filter.ip} onChange={(value) => setFilter('ip', value)} />
        <ChoiceFilter
          label={t('common.state')}
          value={state}
          options={STATES.map((value) => ({ value, label: t(`state.${value}`) }))}
          onChange={(value) => setFilter('state', value)}
        />
      </Filters>
      <PeerTable
        query={query}
        page={pageQuery.page}
        onPage={setPage}
        columns={[
          {
            title: t('peers.cluster'),
            cell: (row) => (
              <TextLink to={`/clusters/${row.scheduler_cluster_id}`}>
                {row.scheduler_cluster?.name ?? row.scheduler_cluster_id}
              </TextLink>
            ),
          },
        ]}
        empty={Object.keys(filter).length > 0 ? t('common.emptyFiltered') : t('peers.empty')}
      />
    </>
  );
}
