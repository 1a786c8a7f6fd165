import { NumberInput, TextInput, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { APPLICATIONS, createApplication, updateApplication, type Application } from '@/api/records';
import { FormDialog } from '@/forms/FormDialog';
import { told } from '@/forms/problem';
import { length, whole } from '@/forms/rules';
import { useAction } from '@/forms/useAction';
import { patternLines, requestOf, valuesOf, type ApplicationValues } from './applicationValues';

interface Props {
  /** The one that is changed; none: one is made. */
  application: Application | null;
  onClose: () => void;
}

export function ApplicationDialog({ application, onClose }: Props) {
  const { t } = useTranslation();
  const form = useForm<ApplicationValues>({
    initialValues: valuesOf(application),
    validateInputOnChange: true,
    validate: {
      name: told(t, length(1, 255, 'clusterForm.nameLength')),
      url: told(t, length(1, 1024, 'settings.valueLength')),
      priority: told(t, whole(0, 20)),
      patterns: told(t, patternLines),
    },
  });
  const action = useAction({
    run: (values: ApplicationValues) =>
      application ? updateApplication(application.id, requestOf(values)) : createApplication(requestOf(values)),
    changes: [APPLICATIONS],
    done: t('common.saved'),
    showsFailure: true,
  });
  return (
    <FormDialog
      title={application?.name ?? t('applications.add')}
      submit={t('common.save')}
      form={form}
      action={action}
      onClose={onClose}
    >
      <TextInput label={t('common.name')} required data-autofocus {...form.getInputProps('name')} />
      <TextInput label={t('applications.url')} required {...form.getInputProps('url')} />
      <TextInput label={t('common.description')} {...form.getInputProps('bio')} />
      <NumberInput
        label={t('applications.priority')}
        description={t('applications.priorityHelp')}
        allowDecimal={false}
        {...form.getInputProps('priority')}
      />
      <Textarea
        label={t('applications.patterns')}
        description={t('applications.patternsHelp')}
        autosize
        minRows={3}
        maxRows={12}
        {...form.getInputProps('patterns')}
      />
    </FormDialog>
  );
}
