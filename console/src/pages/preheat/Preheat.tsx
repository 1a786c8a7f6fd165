import { Alert, Button, Group, Paper, Stepper } from '@mantine/core';
import { useForm, type FormValidateInput } from '@mantine/form';
import type { TFunction } from 'i18next';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { JOBS, createJob } from '@/api/jobs';
import { PageHeader } from '@/components/PageHeader';
import { lines } from '@/forms/lines';
import { told } from '@/forms/problem';
import { addresses, headerLines, platform, urls, whole } from '@/forms/rules';
import { useAction } from '@/forms/useAction';
import { NEW_PREHEAT, requestOf, type PreheatValues } from './preheatValues';
import { How, What, Where } from './steps';

/** The fields of each step, which must hold before the next. */
const STEPS: { name: 'what' | 'where' | 'how'; fields: (keyof PreheatValues)[] }[] = [
  { name: 'what', fields: ['image', 'files', 'platform'] },
  { name: 'where', fields: ['count', 'percentage', 'ips'] },
  { name: 'how', fields: ['headers', 'minutes'] },
];

export function Component() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [step, setStep] = useState(0);
  const form = useForm<PreheatValues>({
    initialValues: NEW_PREHEAT,
    validateInputOnChange: true,
    validate: rules(t),
  });
  const start = useAction({
    run: (values: PreheatValues) => createJob(requestOf(values)),
    changes: [JOBS],
    onDone: (job) => void navigate(`/jobs/${job.id}`),
    showsFailure: true,
  });
  const isLast = step === STEPS.length - 1;
  const holds = (index: number) =>
    STEPS[index]?.fields.map((field) => form.validateField(field)).every(({ hasError }) => !hasError) ?? false;
  const go = (target: number) => {
    const open = STEPS.slice(0, target).findIndex((_, index) => !holds(index));
    setStep(open === -1 ? target : open);
  };
  const send = form.onSubmit((values) => (isLast ? start.mutate(values) : go(step + 1)));
  return (
    <>
      <PageHeader title={t('preheat.title')} text={t('preheat.text')} />
      <Paper withBorder p="md" component="form" noValidate onSubmit={send}>
        <Stepper active={step} onStepClick={go} size="sm">
          <Stepper.Step label={t('preheat.what')}>
            <What form={form} />
          </Stepper.Step>
          <Stepper.Step label={t('preheat.where')}>
            <Where form={form} />
          </Stepper.Step>
          <Stepper.Step label={t('preheat.how')}>
            <How form={form} />
          </Stepper.Step>
        </Stepper>
        {start.error && (
          <Alert color="red" role="alert" mt="md">
            {start.error.message}
          </Alert>
        )}
        <Group justify="flex-end" mt="lg">
          {step > 0 && (
            <Button variant="default" onClick={() => setStep(step - 1)}>
              {t('preheat.back')}
            </Button>
          )}
          <Button type="submit" loading={start.isPending}>
            {isLast ? t('preheat.start') : t('preheat.next')}
          </Button>
        </Group>
      </Paper>
    </>
  );
}

function rules(t: TFunction): FormValidateInput<PreheatValues> {
  return {
    image: (value, { kind }) => (kind === 'image' && value.trim() === '' ? t('preheat.needed') : null),
    files: (value, { kind }) => {
      if (kind !== 'file') {
        return null;
      }
      return lines(value).length === 0 ? t('preheat.needed') : told(t, urls)(value);
    },
    platform: told(t, platform),
    count: told(t, whole(1, 200)),
    percentage: told(t, whole(1, 100)),
    ips: (value, { choose }) =>
      choose === 'ips' && lines(value).length === 0 ? t('preheat.needed') : told(t, addresses)(value),
    headers: told(t, headerLines),
    minutes: told(t, whole(1, 10_080)),
  };
}
