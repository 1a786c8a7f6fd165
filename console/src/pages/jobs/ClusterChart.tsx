import '@mantine/charts/styles.css';
import { BarChart } from '@mantine/charts';
import { useTranslation } from 'react-i18next';
import type { Job } from '@/api/jobs';
import { TARGET_STATES } from './targets';

const ROW_HEIGHT = 36;

/** The targets of each cluster by their state. The table beside it says the same to those who do not see it. */
export default function ClusterChart({ job }: { job: Job }) {
  const { t } = useTranslation();
  const names = new Map(job.scheduler_clusters.map(({ id, name }) => [id, name]));
  const data = job.result.job_states.map(({ scheduler_cluster_id: id, targets }) => ({
    ...targets,
    cluster: names.get(id) ?? id.toString(),
  }));
  return (
    <div aria-hidden>
      <BarChart
        h={data.length * ROW_HEIGHT + 80}
        data={data}
        dataKey="cluster"
        orientation="vertical"
        type="stacked"
        withLegend
        yAxisProps={{ width: 120 }}
        barChartProps={{ accessibilityLayer: false }}
        series={TARGET_STATES.map(({ state, color }) => ({ name: state, color, label: t(`state.${state}`) }))}
      />
    </div>
  );
}
