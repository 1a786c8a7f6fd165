import { Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { CLUSTERS, updateCluster, type Cluster } from '@/api/clusters';
import { FormDialog } from '@/forms/FormDialog';
import { told } from '@/forms/problem';
import { patterns, priorities } from '@/forms/rules';
import { useAction } from '@/forms/useAction';
import { blockOf, withBlock, type BlockValues, type Part, type Whose } from './blockValues';

interface Props {
  cluster: Cluster;
  whose: Whose;
  part: Part;
  onClose: () => void;
}

const FIELDS = ['applications', 'urls', 'tags', 'priorities'] as const;

/** Changes one part of a block list. */
export function BlockDialog({ cluster, whose, part, onClose }: Props) {
  const { t } = useTranslation();
  const config = cluster[whose];
  const [kind, way] = part;
  const form = useForm({
    initialValues: blockOf(config.block_list, part),
    validateInputOnChange: true,
    validate: { urls: told(t, patterns), priorities: told(t, priorities) },
  });
  const action = useAction({
    run: (values: BlockValues) =>
      updateCluster(cluster.id, { [whose]: { ...config, block_list: withBlock(config.block_list, part, values) } }),
    changes: [CLUSTERS],
    done: t('common.saved'),
    showsFailure: true,
  });
  const title = `${t(`blocks.${kind}`)} · ${t(`blocks.${way}`)}`;
  return (
    <FormDialog title={title} submit={t('common.save')} form={form} action={action} onClose={onClose}>
      {FIELDS.map((field) => (
        <Textarea
          key={field}
          label={t(`blocks.${field}`)}
          description={t('blocks.onePerLine')}
          autosize
          minRows={2}
          maxRows={8}
          {...form.getInputProps(field)}
        />
      ))}
    </FormDialog>
  );
}
