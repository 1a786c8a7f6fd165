import { Modal, Stack } from '@mantine/core';
import type { UseFormReturnType } from '@mantine/form';
import type { UseMutationResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Submit } from './Submit';

interface Props<Values extends object, Out> {
  title: string;
  submit: string;
  form: UseFormReturnType<Values>;
  action: UseMutationResult<Out, Error, Values>;
  onClose: () => void;
  children: ReactNode;
}

/** A form in a dialog: it closes when the action has succeeded, and stays with the reason when not. */
export function FormDialog<Values extends object, Out>(props: Props<Values, Out>) {
  const { title, submit, form, action, onClose, children } = props;
  const send = form.onSubmit((values) => action.mutate(values, { onSuccess: onClose }));
  return (
    <Modal opened onClose={onClose} title={title}>
      <form onSubmit={send} noValidate>
        <Stack>
          {children}
          <Submit label={submit} busy={action.isPending} error={action.error} onCancel={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}
