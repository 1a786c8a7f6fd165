import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { CLUSTERS, createCluster } from '@/api/clusters';
import { PageHeader } from '@/components/PageHeader';
import { useAction } from '@/forms/useAction';
import { ClusterForm } from './ClusterForm';
import { NEW_CLUSTER, requestOf, type ClusterValues } from './clusterValues';

export function Component() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const create = useAction({
    run: (values: ClusterValues) => createCluster(requestOf(values)),
    changes: [CLUSTERS],
    done: (made) => t('clusters.created', { name: made.name }),
    onDone: (made) => void navigate(`/clusters/${made.id}`),
    showsFailure: true,
  });
  return (
    <>
      <PageHeader title={t('clusterForm.addTitle')} text={t('clusterForm.addText')} />
      <ClusterForm
        initial={NEW_CLUSTER}
        submit={t('clusters.add')}
        action={create}
        onCancel={() => void navigate('/clusters')}
      />
    </>
  );
}
