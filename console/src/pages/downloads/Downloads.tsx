import { Alert, Paper, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { Refused } from '@/api/refused';
import { traceList, type FoundTraces } from '@/api/traces';
import { Rows, type Column } from '@/components/DataTable';
import { Empty } from '@/components/Empty';
import { duration } from '@/components/format';
import { Loaded } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';
import { paramsOf, searchOf, valuesIn } from './search';
import { SearchForm } from './SearchForm';
import { Sources } from './Sources';
import { summaryOf, type Summary } from './story';

/** Searches among the traces that the manager keeps. The search stands in the address. */
export function Component() {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const values = valuesIn(params);
  const query = useQuery(traceList(searchOf(values)));
  const off = query.error instanceof Refused && query.error.status === 404 ? query.error : null;
  return (
    <>
      <PageHeader title={t('downloads.title')} text={t('downloads.text')} />
      <Stack>
        <Panel title={t('downloads.find')}>
          <SearchForm
            key={params.toString()}
            initial={values}
            busy={query.isFetching}
            onSearch={(sought) => {
              const asked = paramsOf(sought);
              if (asked.toString() === paramsOf(values).toString()) {
                void query.refetch();
              } else {
                setParams(asked);
              }
            }}
          />
        </Panel>
        {off ? (
          <Empty text={off.message} />
        ) : (
          <Loaded query={query}>
            {(found) => <Found found={found} isWhole={found.traces.length < Number(values.limit)} />}
          </Loaded>
        )}
      </Stack>
    </>
  );
}

function Found({ found: { traces, warnings }, isWhole }: { found: FoundTraces; isWhole: boolean }) {
  const { t } = useTranslation();
  // They may have very many spans.
  const rows = useMemo(() => traces.map(summaryOf).sort((one, other) => other.start - one.start), [traces]);
  const columns: Column<Summary>[] = [
    {
      title: t('downloads.what'),
      cell: (row) => (
        <Stack gap={0} maw={380}>
          <TextLink to={`/downloads/${row.id}`} fw={600} lineClamp={2} className="breaks">
            {row.subject}
          </TextLink>
          <Text size="xs" c="dimmed" className="breaks" lineClamp={2}>
            {row.hosts.join(', ')}
          </Text>
        </Stack>
      ),
    },
    { title: t('common.state'), cell: (row) => <StateMark state={row.failed > 0 ? 'failed' : 'done'} /> },
    { title: t('downloads.bytes'), cell: (row) => <Sources of={row.bytes} /> },
    {
      title: t('downloads.took'),
      numeric: true,
      cell: (row) => <span className="whole">{duration(row.duration)}</span>,
    },
    { title: t('downloads.began'), cell: (row) => <Moment at={new Date(row.start / 1000).toISOString()} /> },
  ];
  return (
    <>
      {warnings.length > 0 && (
        <Alert color="yellow" role="status">
          {warnings.join('; ')}
        </Alert>
      )}
      <Paper withBorder>
        {rows.length === 0 ? (
          <Empty text={t('downloads.empty')} />
        ) : (
          <Rows label={t('downloads.title')} rows={rows} rowKey={(row) => row.id} columns={columns} />
        )}
        {rows.length > 0 && (
          <Text size="sm" c="dimmed" p="sm">
            {isWhole ? t('common.rows', { count: rows.length }) : t('downloads.newest', { count: rows.length })}
          </Text>
        )}
      </Paper>
    </>
  );
}
