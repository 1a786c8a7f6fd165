import { Button } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { CLUSTERS, deleteCluster, type Cluster } from '@/api/clusters';
import { Confirm } from '@/components/Confirm';
import { useAction } from '@/forms/useAction';

export function DeleteCluster({ cluster }: { cluster: Cluster }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const remove = useAction({
    run: () => deleteCluster(cluster.id),
    changes: [CLUSTERS],
    done: t('common.deleted'),
    onDone: () => void navigate('/clusters'),
    showsFailure: true,
  });
  return (
    <>
      <Button variant="default" onClick={() => setAsking(true)}>
        {t('common.delete')}
      </Button>
      {asking && (
        <Confirm
          title={t('clusters.deleteTitle', { name: cluster.name })}
          text={t('clusters.deleteText')}
          label={t('common.delete')}
          action={remove}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
