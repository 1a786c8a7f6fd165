import { Button, Code, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { MemberState } from '@/api/members';
import type { Page } from '@/api/page';
import { useMay, type ObjectKind } from '@/app/session';
import { DataTable, type Column } from '@/components/DataTable';
import { DeleteDialog } from '@/components/DeleteDialog';
import { StateMark } from '@/components/StateMark';

/** What schedulers, seed peers and peers have in common. */
interface Member {
  id: number;
  host_name: string;
  ip: string;
  port: number;
  idc: string;
  location: string;
  state: MemberState;
}

interface Props<T extends Member> {
  label: string;
  /** Which right it takes to remove one, and whose list changes by it. */
  kind: ObjectKind;
  query: UseQueryResult<Page<T>>;
  page: number;
  onPage: (page: number) => void;
  remove: (id: number) => Promise<void>;
  /** Between where a member is and its state. */
  columns: Column<T>[];
  /** The name, where it leads further. */
  name?: (row: T) => ReactNode;
  empty: string;
}

/** Members of a kind, with what they have in common and what is their own. */
export function MemberTable<T extends Member>(props: Props<T>) {
  const { label, kind, query, page, onPage, remove, columns, name, empty } = props;
  const { t } = useTranslation();
  const mayRemove = useMay('change', kind);
  const [leaving, setLeaving] = useState<T | null>(null);
  const common: Column<T>[] = [
    { title: t('members.host'), cell: (row) => name?.(row) ?? <Text size="sm">{row.host_name}</Text> },
    { title: t('members.address'), cell: (row) => <Code>{address(row.ip, row.port)}</Code> },
    {
      title: t('members.place'),
      cell: (row) => [row.idc, row.location].filter(Boolean).join(' · ') || t('common.none'),
    },
    ...columns,
    { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
  ];
  const removal: Column<T> = {
    title: t('common.actions'),
    cell: (row) => (
      <Button size="xs" variant="default" onClick={() => setLeaving(row)}>
        {t('members.remove')}
      </Button>
    ),
  };
  return (
    <>
      <DataTable
        label={label}
        query={query}
        columns={mayRemove ? [...common, removal] : common}
        rowKey={(row) => row.id}
        page={page}
        onPage={onPage}
        empty={empty}
      />
      {leaving && (
        <DeleteDialog
          name={leaving.host_name}
          text={t('members.removeText')}
          kind={kind}
          remove={() => remove(leaving.id)}
          onClose={() => setLeaving(null)}
        />
      )}
    </>
  );
}

function address(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
