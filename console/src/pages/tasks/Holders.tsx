import { Alert, Group, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Job } from '@/api/jobs';
import { PAGE_SIZE } from '@/api/page';
import { Pages, Rows } from '@/components/DataTable';
import { Empty } from '@/components/Empty';
import { TextLink } from '@/components/TextLink';
import { PieceBar } from './PieceBar';
import { copies, held, shares } from './pieces';
import { holders, imageHolders, type Holder } from './search';

/** Who holds what a search was for. */
export function Holders({ job }: { job: Job }) {
  const { t } = useTranslation();
  const works = job.result.job_states;
  const names = new Map(job.scheduler_clusters.map(({ id, name }) => [id, name]));
  const cluster = ({ clusterId }: { clusterId: number }) => (
    <TextLink to={`/clusters/${clusterId}`}>{names.get(clusterId) ?? clusterId}</TextLink>
  );
  const failures = works.map(({ error }) => error).filter(Boolean);
  const tasks = holders(works);
  const images = imageHolders(works);
  const common = [
    { title: t('members.host'), cell: (row: { hostname: string }) => row.hostname },
    { title: t('peers.ip'), cell: (row: { ip: string }) => row.ip },
  ];
  return (
    <>
      {failures.length > 0 && (
        <Alert color="red" role="alert" title={t('tasks.failed')}>
          {failures.join('; ')}
        </Alert>
      )}
      {tasks.length + images.length === 0 && failures.length === 0 && <Empty text={t('tasks.noHolders')} />}
      <Copies of={tasks} />
      {tasks.length > 0 && (
        <Paged
          rows={tasks}
          columns={[
            ...common,
            { title: t('peers.cluster'), cell: cluster },
            { title: t('tasks.hostType'), cell: (row) => t(row.isSeed ? 'tasks.seed' : 'tasks.normal') },
            { title: t('common.state'), cell: (row) => t(row.isComplete ? 'tasks.complete' : 'tasks.partial') },
            { title: t('tasks.pieces'), cell: (row) => <OfHost holder={row} /> },
          ]}
        />
      )}
      {images.length > 0 && (
        <Paged
          rows={images}
          columns={[
            ...common,
            { title: t('peers.cluster'), cell: cluster },
            {
              title: t('tasks.layers'),
              cell: (row) => t('tasks.ofLayers', { done: row.layers, total: row.ofLayers }),
            },
          ]}
        />
      )}
    </>
  );
}

function OfHost({ holder: { pieces } }: { holder: Holder }) {
  const { t } = useTranslation();
  if (!pieces) {
    return t('tasks.piecesUnknown');
  }
  return <PieceBar shares={shares(pieces)} text={t('tasks.ofPieces', { held: held(pieces), total: pieces.total })} />;
}

/** How often the rarest and the commonest part of a content is there, over all hosts that tell. */
function Copies({ of }: { of: Holder[] }) {
  const { t } = useTranslation();
  const counts = copies(of.flatMap(({ pieces }) => pieces ?? []));
  if (!counts || of.length < 2) {
    return null;
  }
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return (
    <Stack gap={4}>
      <Text size="sm" fw={600}>
        {t('tasks.copies')}
      </Text>
      <PieceBar
        shares={counts.map((count) => count / Math.max(most, 1))}
        text={t('tasks.copiesText', { least, most })}
      />
    </Stack>
  );
}

interface Row {
  clusterId: number;
  hostname: string;
  ip: string;
}

/** What has come whole, a page at a time. */
function Paged<T extends Row>({ rows, columns }: { rows: T[]; columns: Parameters<typeof Rows<T>>[0]['columns'] }) {
  const { t } = useTranslation();
  const [page, setPage] = useState(1);
  const pages = Math.ceil(rows.length / PAGE_SIZE);
  const begin = (Math.min(page, pages) - 1) * PAGE_SIZE;
  return (
    <>
      <Rows
        label={t('tasks.holders')}
        rows={rows.slice(begin, begin + PAGE_SIZE)}
        rowKey={(row) => `${row.clusterId} ${row.hostname} ${row.ip}`}
        columns={columns}
      />
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {t('common.rows', { count: rows.length })}
        </Text>
        <Pages page={Math.min(page, pages)} pages={pages} onPage={setPage} />
      </Group>
    </>
  );
}
