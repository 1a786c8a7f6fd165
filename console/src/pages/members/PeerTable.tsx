import type { UseQueryResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { PEERS, deletePeer, type Peer } from '@/api/members';
import type { Page } from '@/api/page';
import { TextLink } from '@/components/TextLink';
import type { Column } from '@/components/DataTable';
import { MemberTable } from './MemberTable';

interface Props {
  query: UseQueryResult<Page<Peer>>;
  page: number;
  onPage: (page: number) => void;
  /** Beside those that every list of peers has. */
  columns?: Column<Peer>[];
  empty: string;
}

export function PeerTable({ columns = [], ...props }: Props) {
  const { t } = useTranslation();
  return (
    <MemberTable
      label={t('peers.title')}
      kind={PEERS}
      remove={deletePeer}
      name={(row) => <TextLink to={`/peers/${row.id}`}>{row.host_name}</TextLink>}
      columns={[
        ...columns,
        { title: t('common.type'), cell: (row) => t(`peers.${row.type}`) },
        { title: t('members.version'), cell: (row) => row.git_version },
      ]}
      {...props}
    />
  );
}
