import { Group, Pagination, Paper, Table, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { PAGE_SIZE, type Page } from '@/api/page';
import { Empty } from './Empty';
import { Loaded } from './Loaded';

export interface Column<T> {
  title: string;
  cell: (row: T) => ReactNode;
  /** Numbers stand at the end of their column. */
  numeric?: boolean;
}

interface Props<T> {
  /** What the table is about, for those who do not see it. */
  label: string;
  query: UseQueryResult<Page<T>>;
  columns: Column<T>[];
  rowKey: (row: T) => string | number;
  page: number;
  onPage: (page: number) => void;
  /** In place of rows. */
  empty: string;
  emptyAction?: ReactNode;
}

/** One page of a list that the server cuts into pages. */
export function DataTable<T>({ label, query, columns, rowKey, page, onPage, empty, emptyAction }: Props<T>) {
  const { t } = useTranslation();
  return (
    <Loaded query={query}>
      {({ rows, total }) => (
        <Paper withBorder>
          {rows.length === 0 ? (
            <Empty text={empty} action={emptyAction} />
          ) : (
            <Rows label={label} rows={rows} columns={columns} rowKey={rowKey} />
          )}
          {total > 0 && (
            <Group justify="space-between" p="sm">
              <Text size="sm" c="dimmed">
                {t('common.rows', { count: total })}
              </Text>
              <Pages page={page} pages={Math.ceil(total / PAGE_SIZE)} onPage={onPage} />
            </Group>
          )}
        </Paper>
      )}
    </Loaded>
  );
}

/** The way from page to page, where there are several. */
export function Pages({ page, pages, onPage }: { page: number; pages: number; onPage: (page: number) => void }) {
  const { t } = useTranslation();
  if (pages < 2) {
    return null;
  }
  return (
    <nav aria-label={t('common.pages')}>
      <Pagination
        size="sm"
        siblings={0}
        value={page}
        total={pages}
        onChange={onPage}
        getItemProps={(number) => ({ 'aria-label': t('common.page', { page: number }) })}
        getControlProps={(control) => ({ 'aria-label': control })}
      />
    </nav>
  );
}

type RowsProps<T> = Pick<Props<T>, 'label' | 'columns' | 'rowKey'> & { rows: T[] };

/** Rows without pages, for what comes whole. */
export function Rows<T>({ label, rows, columns, rowKey }: RowsProps<T>) {
  return (
    <Table.ScrollContainer minWidth={560} scrollAreaProps={{ viewportProps: { tabIndex: 0, 'aria-label': label } }}>
      <Table aria-label={label} verticalSpacing="sm" horizontalSpacing="md" highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {columns.map((column) => (
              <Table.Th key={column.title} scope="col" ta={column.numeric ? 'right' : 'left'}>
                {column.title}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={rowKey(row)}>
              {columns.map((column) => (
                <Table.Td key={column.title} ta={column.numeric ? 'right' : 'left'}>
                  {column.cell(row)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
