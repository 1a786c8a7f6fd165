import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { CLUSTERS, cluster, updateCluster, type Cluster } from '@/api/clusters';
import { useId } from '@/app/useId';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { useAction } from '@/forms/useAction';
import { ClusterForm } from './ClusterForm';
import { requestOf, valuesOf, type ClusterValues } from './clusterValues';

export function Component() {
  const { t } = useTranslation();
  // What others change meanwhile must not change under the hands of whoever edits.
  const query = useQuery({ ...cluster(useId()), refetchInterval: false });
  return (
    <Loaded query={query}>
      {(found) => (
        <>
          <PageHeader title={t('clusters.edit')} text={found.name} />
          <Edit cluster={found} />
        </>
      )}
    </Loaded>
  );
}

function Edit({ cluster: old }: { cluster: Cluster }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const back = () => void navigate(`/clusters/${old.id}`);
  const save = useAction({
    run: (values: ClusterValues) => updateCluster(old.id, requestOf(values, old)),
    changes: [CLUSTERS],
    done: t('common.saved'),
    onDone: back,
    showsFailure: true,
  });
  return <ClusterForm initial={valuesOf(old)} submit={t('common.save')} action={save} onCancel={back} />;
}
